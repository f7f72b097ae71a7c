// What people press: the most pressed first, and over time.
import { byId, count, el, go, post, say, state } from './common.js'
import { Scanner, choice, windowChoice } from './scan.js'
import { meaning } from './tokens.js'

const counted = [['action', 'Button'], ['prefix', 'Prefix'], ['platform', 'Platform'], ['account', 'Account']]
const lines = 5 // with a line of their own in the plot

let scanner = null
let shown = '' // the question that the view answers
let result = null
let titles = []
let plot = null

// by and when are the choices: they are in the URL.
const by = () => (counted.some(([value]) => value === state().by) ? state().by : 'action')
const when = () => (['1h', '24h', '7d', 'all'].includes(state().window) ? state().window : '24h')

const question = () => new URLSearchParams({ by: by(), window: when() === 'all' ? '' : when(), platform: state().platform ?? '', account: state().account ?? '' }).toString()

// name is what a row counts, in tokens of the subject.
function name(row) {
  if (by() === 'action') return row.action === '_' ? row.prefix : `${row.prefix}.${row.action}`
  if (by() === 'account') return `${row.platform} ${row.account}`
  return row[by()]
}

function claim(row) {
  if (row.unclaimed === 0) return ''
  const all = row.unclaimed === row.events
  return el('span', { class: 'tag warn', title: `No consumer asks for ${all ? 'these events' : `${count(row.unclaimed)} of them`}. Consumers of all events do not count.` },
    all ? 'unclaimed' : 'partly unclaimed')
}

const percent = (part, whole) => (whole ? `${(100 * part / whole).toFixed(part * 10 < whole ? 1 : 0)} %` : '–')

function row(r, at) {
  const swatch = result.times.length ? el('span', { class: `swatch line-${Math.min(at, lines) + 1}`, 'aria-hidden': 'true' }) : null
  const title = by() === 'action' ? el('td', { class: 'title' }, el('bdi', {}, titles[at] ?? '••••')) : null
  const words = r.prefix ? meaning(r.prefix, r.action) : ''
  return el('tr', {}, el('th', { scope: 'row' }, swatch, el('bdi', { class: 'text' }, name(r)), ' ', claim(r), words ? el('span', { class: 'meaning' }, el('bdi', {}, words)) : null), title,
    el('td', { class: 'number' }, count(r.events)), el('td', { class: 'number' }, percent(r.events, result.total)),
    el('td', { class: 'bar-cell' }, el('meter', { min: 0, max: result.rows[0].events, value: r.events, 'aria-hidden': 'true' })))
}

const heading = (text, kind) => el('th', { scope: 'col', class: kind ?? '' }, text)

function table() {
  const isAction = by() === 'action'
  return el('div', { class: 'table-box', tabindex: '0', role: 'region', 'aria-label': 'Table of clicks' }, el('table', { class: titles.length ? 'clicks-table' : 'clicks-table masked' },
    el('thead', {}, el('tr', {}, heading(counted.find(([value]) => value === by())[1]), isAction ? heading('Title', 'title') : null,
      heading('Events', 'number'), heading('Share', 'number'), el('td', { class: 'bar-cell' }))),
    el('tbody', {}, ...result.rows.map(row))),
  result.more > 0 ? el('p', { class: 'hint' }, `${count(result.more)} more are not listed. gateway stats lists all.`) : null)
}

const points = { '1h': '5 minutes', '24h': '30 minutes', '7d': '3 hours' }

const dayAndTime = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hour12: false })
const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hour12: false })
const day = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' })

function tickTime(at) {
  const text = timeOfDay.format(at * 1000)
  return text === '00:00' || text === '24:00' ? day.format(at * 1000) : text
}

const colour = (element) => getComputedStyle(element).color

function series() {
  const names = result.rows.slice(0, result.lines.length).map(name)
  if (result.lines.length > lines) names[lines] = 'others'
  return names.map((label, at) => {
    const sample = byId('clicks-plot').appendChild(el('span', { class: `line-${at + 1}` }))
    const stroke = colour(sample)
    sample.remove()
    return { label, stroke, width: 2, dash: [[], [8, 3], [3, 3], [10, 3, 2, 3], [1, 4], [5, 5]][at], points: { show: false } }
  })
}

const sums = ({ times, lines: all }) => times.map((_, at) => all.reduce((sum, line) => sum + line[at], 0))

const fewest = 12 // steps, also if there are events in the last one only

// plotData begins shortly before the first event. The last step is drawn to its end.
function plotData(found) {
  const first = sums(found).findIndex((sum) => sum > 0)
  const begin = Math.max(0, Math.min(first - 1, found.times.length - fewest))
  const times = found.times.slice(begin)
  return [[...times, 2 * times.at(-1) - times.at(-2)], ...found.lines.map((line) => [...line.slice(begin), line.at(-1)])]
}

// drawPlot is called again when the theme or the width changes. uPlot has 50 kB, so only
// this view loads it.
async function drawPlot() {
  plot?.destroy()
  plot = null
  const box = byId('clicks-plot')
  box.hidden = !result?.times.length || result.total === 0
  if (box.hidden) return
  const asked = result
  const { default: UPlot } = await import('./uplot.js')
  if (asked !== result || byId('clicks').hidden) return
  plot?.destroy()
  const axis = colour(box)
  const grid = { stroke: colour(byId('clicks-grid')), width: 1 }
  const step = UPlot.paths.stepped({ align: 1 })
  plot = new UPlot({
    width: box.clientWidth, height: 220, cursor: { y: false, drag: { x: false, y: false } },
    scales: { y: { range: (_, low, high) => [0, Math.max(4, high * 1.1)] } },
    axes: [{ stroke: axis, grid: { show: false }, ticks: grid, values: (_, ticks) => ticks.map(tickTime) }, { stroke: axis, grid, ticks: { show: false }, size: 54, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6] }],
    series: [{ label: 'Time', value: (_, at) => (at == null ? '–' : dayAndTime.format(at * 1000)) }, ...series().map((line) => ({ ...line, paths: step, value: (_, v) => (v == null ? '–' : count(v)) }))],
  }, plotData(result), box)
  const most = Math.max(...sums(result))
  box.setAttribute('aria-label', `Events in each ${points[when()]}: at most ${count(most)}. The table below has the sums.`)
}

function draw() {
  const box = byId('clicks-result')
  byId('clicks-titles').hidden = by() !== 'action' || result.rows.length === 0
  if (result.rows.length === 0) {
    box.replaceChildren(el('p', { class: 'nothing' }, 'Nobody has pressed anything in this time. ',
      el('button', { type: 'button', click: () => go({ view: 'try' }) }, 'Try: send a click')))
  } else {
    box.replaceChildren(el('p', { class: 'sum' }, el('strong', {}, count(result.total)), ` ${result.total === 1 ? 'event' : 'events'}`,
      when() === 'all' ? el('span', { class: 'hint' }, ' in the stream. Choose a time to see them over time.') : ''), table())
  }
  drawPlot()
}

function fillAccounts() {
  const value = state().account ? `${state().platform} ${state().account}` : state().platform ?? ''
  const platforms = [...new Set(result.accounts.map((account) => account.platform))]
  const options = [['', 'All accounts'], ...platforms.flatMap((platform) => [
    [platform, `${platform}: all`],
    ...result.accounts.filter((account) => account.platform === platform).map((account) => [`${platform} ${account.account}`, `${platform} ${account.account}`]),
  ])]
  if (value && !options.some(([option]) => option === value)) options.push([value, value])
  byId('clicks-account').replaceChildren(...options.map(([option, text]) => el('option', { value: option }, text)))
  byId('clicks-account').value = value
}

async function reveal() {
  try {
    titles = (await post('clicks/titles', 'reveal', { rows: result.rows.map(({ platform, account, prefix, action }) => ({ platform: state().platform ?? platform, account: state().account ?? account, prefix, action })) })).titles
      .map((title) => title || '–')
    say('Titles are shown; the log says so.')
    draw()
  } catch (error) {
    say(error.message)
  }
}

async function load() {
  const asked = question()
  shown = asked
  byId('clicks-by').value = by()
  byId('clicks-when').value = when() === 'all' ? '' : when()
  const found = await scanner.run(`clicks?${asked}`)
  if (!found || asked !== question()) return
  result = found
  titles = []
  fillAccounts()
  draw()
}

function choose() {
  const [platform, ...account] = byId('clicks-account').value.split(' ')
  go({ by: byId('clicks-by').value, window: byId('clicks-when').value || 'all', platform, account: account.join(' ') })
}

export function start() {
  const progress = el('div', { class: 'scan' })
  byId('clicks').append(
    el('div', { class: 'bar' }, choice('clicks-by', 'Count by', counted, choose), windowChoice('clicks-when', choose),
      choice('clicks-account', 'Account', [['', 'All accounts']], choose),
      el('span', { class: 'grow' }), el('button', { type: 'button', id: 'clicks-titles', hidden: true, click: reveal }, 'Reveal titles'),
      el('button', { type: 'button', click: load }, 'Refresh')),
    progress, el('span', { id: 'clicks-grid', hidden: true }), el('div', { id: 'clicks-plot', role: 'img', hidden: true }), el('div', { id: 'clicks-result' }))
  scanner = new Scanner(progress)
  addEventListener('theme', () => result && drawPlot())
  new ResizeObserver(() => plot?.setSize({ width: byId('clicks-plot').clientWidth, height: 220 })).observe(byId('clicks'))
}

// show is called when the view is on the page, and hide when it is not any more.
export function show() {
  if (question() !== shown) load()
}

export function hide() {
  scanner.cancel()
  shown = ''
}
