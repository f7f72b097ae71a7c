// What the page shows of a dead letter: in Fix, and with the delivery that it came in.
import { count, el, fullTime, json } from './common.js'

export function letter(d) {
  return [
    el('dl', { class: 'facts' },
      el('dt', {}, 'Why'), el('dd', {}, d.detail),
      ...(d.where ? [el('dt', {}, 'Where'), el('dd', {}, el('code', {}, d.where))] : []),
      el('dt', {}, 'Account'), el('dd', {}, el('bdi', {}, d.account || '–')),
      el('dt', {}, 'Received'), el('dd', {}, fullTime(d.receivedAt)),
      el('dt', {}, 'Subject'), el('dd', {}, el('code', {}, d.subject)),
      el('dt', {}, 'Size'), el('dd', {}, `${count(d.length)} bytes${d.truncated ? ', of which only the beginning is kept: it cannot be replayed' : ''}`)),
    markWhere(json(d.body), d.where),
  ]
}

// markWhere marks the name of the member at which the body is malformed, or the nearest one
// around it that is there.
function markWhere(block, where) {
  const names = [...block.querySelectorAll('.name')]
  for (const member of where.split('/').reverse()) {
    const name = names.find((candidate) => candidate.textContent.replaceAll('"', '').replace(/:\s*$/, '') === member)
    if (!name) continue
    name.classList.add('wrong')
    break
  }
  return block
}
