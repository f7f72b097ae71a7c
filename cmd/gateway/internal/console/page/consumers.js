// The durable consumers: how far each is, and what is wrong with it.
import { ago, byId, count, el, fullTime, get } from './common.js'

const interval = 5000

let timer = 0

const head = ['Consumer', 'Waiting', 'Oldest', 'In progress', 'Redelivered', 'Given up', 'Acknowledged to', 'Last ack', 'Asks for']
const cell = (name, value, kind = '') => el('td', { class: kind, 'data-name': name }, value)
const time = (at) => (at ? el('time', { datetime: at, title: fullTime(at) }, ago(at)) : '–')

// stateOf has a sign beside its colour.
function stateOf(consumer) {
  if (consumer.findings.some((finding) => finding.level === 'problem')) return el('span', { class: 'badge bad' }, '✗ stuck')
  if (consumer.paused) return el('span', { class: 'badge calm' }, '– paused')
  if (consumer.pending > 0) return el('span', { class: 'badge calm' }, '… behind')
  return el('span', { class: 'badge good' }, '✓ up to date')
}

function row(consumer) {
  const limit = consumer.max_ack_pending > 0 ? ` of ${count(consumer.max_ack_pending)}` : ''
  const cells = el('tr', {}, el('th', { scope: 'row' }, el('bdi', {}, consumer.name), ' ', stateOf(consumer)),
    cell(head[1], count(consumer.pending), 'number'), cell(head[2], time(consumer.since)), cell(head[3], `${count(consumer.ack_pending)}${limit}`, 'number'),
    cell(head[4], count(consumer.redelivered), 'number'), cell(head[5], count(consumer.given_up), consumer.given_up ? 'number why' : 'number'),
    cell(head[6], count(consumer.ack_floor), 'number'), cell(head[7], time(consumer.last_ack)),
    cell(head[8], el('span', { class: 'filters' }, ...consumer.filters.map((filter) => el('code', {}, filter === '>' ? 'everything' : filter)))))
  const found = consumer.findings.map((finding) => el('tr', { class: 'finding' }, el('td', { colspan: head.length },
    el('span', { class: finding.level === 'problem' ? 'why' : 'hint' }, finding.level === 'problem' ? '✗ ' : '', finding.text, '. '), sentence(finding.do))))
  return [cells, ...found]
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`

function unclaimed(all) {
  if (all.length === 0) return []
  return [el('h3', {}, 'Stored in the last 24 hours, and no consumer asks for it'),
    el('p', { class: 'hint' }, 'Consumers of all events do not count. Add the filter to a consumer, or correct its spelling.'),
    el('ul', { class: 'unclaimed' }, ...all.map((subject) => el('li', {}, el('code', {}, subject.subject),
      el('span', { class: 'hint' }, ` ${count(subject.events)} ${subject.events === 1 ? 'event' : 'events'}, the last `, time(subject.last)))))]
}

function draw({ consumers, unclaimed: missed }) {
  const none = el('p', { class: 'nothing' }, 'No durable consumer exists: events are stored, and no service is known to read them. A service creates one, such as ',
    el('code', {}, 'gateway forward --durable billing --to http://127.0.0.1:3000 plan'))
  const table = el('div', { class: 'table-box', tabindex: '0', role: 'region', 'aria-label': 'Table of consumers' }, el('table', { class: 'consumers-table stacked' },
    el('thead', {}, el('tr', {}, ...head.map((name, at) => el('th', { scope: 'col', class: [1, 3, 4, 5, 6].includes(at) ? 'number' : '' }, name)))),
    el('tbody', {}, ...consumers.flatMap(row))))
  byId('consumers').replaceChildren(el('h2', {}, 'Consumers'), consumers.length ? table : none, ...unclaimed(missed))
}

async function load() {
  try {
    const list = await get('consumers')
    if (!byId('consumers').hidden) draw(list)
  } catch (error) {
    byId('consumers').replaceChildren(el('p', { class: 'nothing error' }, error.message))
  }
}

export function start() {}

export function show() {
  if (timer) return
  load()
  timer = setInterval(() => document.hidden || load(), interval)
}

export function hide() {
  clearInterval(timer)
  timer = 0
}
