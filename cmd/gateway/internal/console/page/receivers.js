// Which consumers ask for an event, and where they are with it.
import { count, el } from './common.js'

const positions = {
  acknowledged: ['✓', 'acknowledged', 'good'], delivered: ['…', 'in progress', 'calm'], waiting: ['…', 'waits for it', 'calm'],
  given_up: ['✗', 'gave it up', 'bad'], before_start: ['–', 'created for later events', 'calm'],
}

function receiver({ name, durable, position, pending, filters }) {
  const [sign, words, tone] = positions[position] ?? ['', '', 'calm']
  return el('li', {}, el('strong', {}, el('bdi', {}, name)), ' ',
    position ? el('span', { class: `badge ${tone}` }, el('span', { 'aria-hidden': 'true' }, sign), ` ${words}`) : null,
    el('span', { class: 'hint' }, [durable ? '' : 'temporary', pending ? `${count(pending)} to acknowledge` : ''].filter(Boolean).map((part) => ` · ${part}`).join('')),
    el('div', { class: 'filters' }, ...filters.map((filter) => el('code', {}, filter === '>' ? 'everything' : filter))))
}

export function receivers({ receivers: all, note }) {
  const nobody = el('p', { class: 'why' }, 'No consumer asks for this subject.')
  return el('div', {}, all.length ? el('ul', { class: 'receivers' }, ...all.map(receiver)) : nobody, note ? el('p', { class: 'hint' }, note) : null)
}
