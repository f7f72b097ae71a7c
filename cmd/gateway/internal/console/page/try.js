// Compose a click of any platform, see what it becomes while typing, and send it.
import { byId, el, get, go, json, milliseconds, post } from './common.js'
import { receivers } from './receivers.js'
import { onStatus } from './status.js'

const typing = 150 // milliseconds without a key until the preview is asked for

let platforms = []
let timer = 0

const field = (id, label, hint, attributes = {}) => el('div', { class: 'field', id: `${id}-field` },
  el('label', { for: id }, label), el('input', { id, autocomplete: 'off', spellcheck: 'false', 'aria-describedby': hint ? `${id}-hint` : null, ...attributes }),
  hint ? el('p', { class: 'hint', id: `${id}-hint` }, hint) : null)

const select = (id, label, options) => el('div', { class: 'field' }, el('label', { for: id }, label),
  el('select', { id }, ...options.map((option) => el('option', { value: option }, option.replaceAll('_', ' ')))))

const chosen = () => platforms.find((platform) => platform.name === byId('try-platform').value)

// isBare reports whether a kind has no payload of the bot's own.
const isBare = (platform, kind) => ['referral', 'identity'].includes(kind) || (platform === 'whatsapp' && kind === 'optin')

// click is what the form says.
function click() {
  const kind = byId('try-kind').value
  const platform = byId('try-platform').value
  return {
    platform, kind, account: byId('try-account').value, user: byId('try-user').value,
    title: byId('try-title').value, payload: isBare(platform, kind) ? '' : byId('try-payload').value, ref: platform === 'whatsapp' ? '' : byId('try-ref').value,
    wrongSecret: byId('try-wrong').checked,
  }
}

function showFields() {
  const { kind, platform } = click()
  const hidesPayload = isBare(platform, kind) || (platform === 'telegram' && kind === 'button')
  byId('try-payload-field').hidden = hidesPayload
  byId('try-title-field').hidden = hidesPayload
  byId('try-ref-field').hidden = platform === 'whatsapp' || (platform === 'telegram' && kind !== 'referral')
}

function choosePlatform() {
  const platform = chosen()
  byId('try-kind').replaceChildren(...platform.kinds.map((kind) => el('option', { value: kind }, kind.replaceAll('_', ' '))))
  byId('try-account').value = platform.account
  byId('try-user').value = platform.user
  byId('try-send').disabled = platform.why !== ''
  byId('try-why').textContent = platform.why ? `It cannot be sent: ${platform.why}` : ''
  typed()
}

function typed() {
  showFields()
  clearTimeout(timer)
  timer = setTimeout(preview, typing)
}

// edited also takes away the answer, which was about another click.
function edited() {
  byId('try-result').replaceChildren()
  typed()
}

async function preview() {
  const asked = JSON.stringify(click())
  try {
    const p = await post('try/preview', 'preview', click())
    if (asked !== JSON.stringify(click())) return // typed further
    byId('try-subject').textContent = p.subject || '–'
    if (p.subject) showReceivers(p.subject)
    byId('try-problem').textContent = p.problem
    byId('try-event').replaceChildren(json(p.event))
    byId('try-body').replaceChildren(json(p.body))
  } catch (error) {
    byId('try-problem').textContent = error.message
  }
}

// showReceivers is only about the subject that is shown.
async function showReceivers(subject) {
  const found = await get(`receivers?subject=${encodeURIComponent(subject)}`).catch((error) => ({ receivers: [], note: error.message }))
  if (byId('try-subject').textContent === subject) byId('try-receivers').replaceChildren(receivers(found))
}

async function submit(event) {
  event.preventDefault()
  try {
    const answer = await post('try/send', 'send', click())
    const isGood = answer.status === 200
    byId('try-result').replaceChildren(el('p', { class: isGood ? 'result good' : 'result bad' },
      el('strong', {}, `${isGood ? '✓' : '✗'} ${answer.status}`), ` in ${milliseconds(answer.us)} `, el('code', {}, answer.body.trim())),
    el('button', { type: 'button', click: () => go({ view: '', q: '', d: answer.seq }) }, 'Show it in the deliveries'))
  } catch (error) {
    byId('try-result').replaceChildren(el('p', { class: 'result bad' }, error.message))
  }
}

function build(s) {
  if (platforms.length > 0) return
  platforms = s.platforms
  const form = el('form', { class: 'compose', submit, input: edited },
    el('h2', {}, 'Compose a click'),
    select('try-platform', 'Platform', platforms.map((platform) => platform.name)),
    select('try-kind', 'What the person does', []),
    field('try-payload', 'Payload', 'what your bot put behind the button', { value: 'plan:enterprise' }),
    field('try-title', 'Title', 'what stands on the button', { value: 'Enterprise' }),
    field('try-ref', 'Referral', 'the parameter of the link by which the person came'),
    field('try-account', 'Account', 'the page, account, phone number or bot'),
    field('try-user', 'Person', ''),
    el('div', { class: 'field check' }, el('input', { type: 'checkbox', id: 'try-wrong' }),
      el('label', { for: 'try-wrong' }, "Sign with another app's secret, to see how that is rejected")),
    el('p', { class: 'hint' }, 'The click is signed and posted to the webhook of this gateway. It is stored like every other, and your consumers receive it.'),
    el('div', { class: 'send' }, el('p', { class: 'error', id: 'try-why' }),
      el('p', {}, el('button', { class: 'primary', id: 'try-send' }, 'Send the click')),
      el('div', { id: 'try-result', role: 'status' })))
  const result = el('div', { class: 'becomes' },
    el('h2', {}, 'What it becomes'), el('p', { class: 'error', id: 'try-problem', role: 'status' }),
    el('h3', {}, 'Subject'), el('p', {}, el('code', { id: 'try-subject' })),
    el('h3', {}, 'Received by'), el('div', { id: 'try-receivers' }),
    el('h3', {}, 'Event'), el('div', { id: 'try-event' }),
    el('details', {}, el('summary', {}, 'What the platform posts'), el('div', { id: 'try-body' })))
  byId('try').replaceChildren(form, result)
  byId('try-platform').addEventListener('change', choosePlatform)
  choosePlatform()
}

// show asks again: the consumers may have changed.
export function show() {
  if (platforms.length > 0) typed()
}

export function start() {
  onStatus(build)
}
