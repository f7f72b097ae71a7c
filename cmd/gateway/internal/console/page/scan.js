// Reads stored events, which can take a while: with progress, and until it is canceled.
import { count, el } from './common.js'

// lines calls each with every line of JSON of a response.
async function lines(response, each) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const parts = (text + value).split('\n')
    text = parts.pop()
    for (const part of parts) each(JSON.parse(part))
  }
}

async function read(path, signal, progress) {
  const response = await fetch(`api/${path}`, { signal })
  if (response.status === 401) location.reload() // the session has ended
  if (!response.ok) throw new Error((await response.json().catch(() => null))?.error ?? `the gateway answered ${response.status}`)
  let last = {}
  await lines(response, (line) => { progress(last = line) })
  if (last.error) throw new Error(last.error)
  if (!last.result) throw new Error('The gateway stopped before the end. Try again.')
  return last.result
}

const slow = 250 // milliseconds until a reader wants to know how far it is

// Scanner runs one scan at a time in a box of the page, where it shows the progress.
export class Scanner {
  constructor(box) {
    this.box = box
    box.setAttribute('role', 'status')
  }

  cancel() {
    this.stop?.abort()
  }

  // run returns the result, or null if it was canceled or failed.
  async run(path) {
    this.cancel()
    const stop = new AbortController()
    this.stop = stop
    const bar = el('progress', { max: 1, 'aria-label': 'Events read' })
    const text = el('span', {}, 'Reading the stored events')
    const shown = setTimeout(() => this.box.replaceChildren(bar, text, el('button', { type: 'button', click: () => this.cancel() }, 'Cancel')), slow)
    const progress = (line) => {
      if (line.waiting) text.textContent = 'Waiting: somebody else reads the stored events'
      else if (line.total) text.textContent = `${count(line.done)} of ${count(line.total)} events`
      if (line.total) bar.value = line.done / line.total
    }
    try {
      const result = await read(path, stop.signal, progress)
      if (stop === this.stop) this.box.replaceChildren(el('span', { class: 'hidden' }, 'Counted. The result follows.'))
      return stop === this.stop ? result : null
    } catch (error) {
      if (stop !== this.stop) return null
      const canceled = stop.signal.aborted
      this.box.replaceChildren(el('span', { class: canceled ? 'hint' : 'error' }, canceled ? 'Canceled.' : error.message))
      return null
    } finally {
      clearTimeout(shown)
    }
  }
}

const windows = [['1h', 'Last hour'], ['24h', 'Last 24 hours'], ['7d', 'Last 7 days'], ['', 'All that is stored']]

// choice is a labeled list of options.
export function choice(id, label, options, change) {
  return el('div', { class: 'choice' }, el('label', { for: id }, label),
    el('select', { id, change }, ...options.map(([value, text]) => el('option', { value }, text))))
}

export const windowChoice = (id, change) => choice(id, 'When', windows, change)
