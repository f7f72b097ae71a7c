// The page: its views, its keys and its theme.
import * as clicks from './clicks.js'
import { byId, go, state } from './common.js'
import * as consumers from './consumers.js'
import * as deliveries from './deliveries.js'
import * as drawer from './drawer.js'
import * as fix from './fix.js'
import * as funnel from './funnel.js'
import * as status from './status.js'
import * as tryView from './try.js'

// A view can have show and hide, which are called when it is on the page and when not.
const views = { deliveries, clicks, funnel, consumers, fix, try: tryView }

function navigate() {
  const view = Object.hasOwn(views, state().view) ? state().view : 'deliveries'
  for (const name of Object.keys(views)) byId(name).hidden = name !== view
  for (const [name, module] of Object.entries(views)) {
    if (name === view) module.show?.()
    else module.hide?.()
  }
  document.body.dataset.view = view
  for (const link of document.querySelectorAll('nav a')) {
    if (link.dataset.view === view) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  deliveries.navigate()
  drawer.navigate()
}

function choose(event) {
  const link = event.target.closest('nav a')
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return
  event.preventDefault()
  go({ view: link.dataset.view === 'deliveries' ? '' : link.dataset.view, d: '', letter: '' })
}

const isTyping = (target) => target.closest('input, select, textarea, dialog') !== null

const keys = {
  '/': () => { go({ view: '' }); byId('q').focus() },
  j: () => deliveries.move(1),
  k: () => deliveries.move(-1),
  g: () => { go({ d: '' }); deliveries.catchUp() },
  '?': () => byId('keys').showModal(),
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (event.key === 'Escape' && !byId('keys').open) return escape(event)
  const action = keys[event.key]
  if (!action || isTyping(event.target)) return
  event.preventDefault()
  action()
}

function escape(event) {
  if (state().d) go({ d: '' })
  else if (event.target === byId('q') || state().q) deliveries.setQuery('')
  if (event.target === byId('q')) byId('q').blur()
}

const dark = matchMedia('(prefers-color-scheme: dark)')
const systemTheme = () => (dark.matches ? 'dark' : 'light')

// toggleTheme shows the other one. The system's own is not remembered.
function toggleTheme() {
  const shown = document.documentElement.dataset.theme ?? systemTheme()
  const other = shown === 'dark' ? 'light' : 'dark'
  setTheme(other === systemTheme() ? '' : other)
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme
  else delete document.documentElement.dataset.theme
  localStorage.setItem('theme', theme)
  dispatchEvent(new Event('theme'))
  byId('theme').setAttribute('aria-label', `Theme: ${theme || 'as the system'}`)
}

setTheme(localStorage.getItem('theme') ?? '')
byId('theme').addEventListener('click', toggleTheme)
byId('keys-button').addEventListener('click', () => byId('keys').showModal())
document.addEventListener('click', choose)
document.addEventListener('keydown', press)
addEventListener('popstate', navigate)
addEventListener('navigate', navigate)
dark.addEventListener('change', () => dispatchEvent(new Event('theme')))
for (const module of Object.values(views)) module.start()
status.start()
navigate()
performance.mark('usable')
