// What the drawer copies to the clipboard: commands that run in a POSIX shell as they are.
import { say } from './common.js'

// quote makes one word of the shell from any text. Control characters become escapes, so
// that pasting cannot press a key in the terminal.
export function quote(text) {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(text)) return text
  // eslint-disable-next-line no-control-regex
  if (!/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/.test(text)) return `'${text.replaceAll("'", `'\\''`)}'`
  const escaped = [...new TextEncoder().encode(text)].map((byte) => {
    if (byte < 0x20 || byte >= 0x7f) return `\\x${byte.toString(16).padStart(2, '0')}`
    return byte === 0x27 || byte === 0x5c ? `\\${String.fromCharCode(byte)}` : String.fromCharCode(byte)
  })
  return `$'${escaped.join('')}'`
}

const compact = (body) => {
  try {
    return JSON.stringify(JSON.parse(body))
  } catch {
    return body
  }
}

// curl signs in the shell: the page never has a secret.
export function curl(delivery, callback) {
  const url = quote(callback + delivery.path)
  if (delivery.method !== 'POST') return `curl -i ${url}`
  const lines = [`BODY=${quote(compact(delivery.body))}`]
  let proof = '-H "X-Hub-Signature-256: sha256=$(printf %s "$BODY" | openssl dgst -sha256 -hmac "$APP_SECRET" -r | cut -d\' \' -f1)"'
  if (delivery.platform === 'telegram') proof = '-H "X-Telegram-Bot-Api-Secret-Token: $BOT_SECRET_TOKEN"'
  lines.push(`printf %s "$BODY" | curl -i ${url} -H 'Content-Type: application/json' ${proof} --data-binary @-`)
  return lines.join('\n')
}

const flags = { platform: 'platform', kind: 'kind', account: 'account', payload: 'payload', ref: 'ref', title: 'title', user: 'user', userRef: 'user-ref' }

// send is the click as a command of the gateway.
export function send(click) {
  const given = Object.entries(flags).filter(([name]) => click[name]).map(([name, flag]) => `--${flag}=${quote(click[name])}`)
  return ['gateway send', ...given].join(' ')
}

// nats shows the last message of a subject with the nats tool.
export function nats(subject, status) {
  const suffix = { deadletter: '_DEADLETTER', other: '_OTHER', delivery: '_DELIVERIES' }[subject.split('.')[0]] ?? ''
  const stream = status.stream + suffix
  const server = status.nats ? ` --server ${quote(status.nats)}` : ''
  return `nats${server} stream get ${quote(stream)} --last-for ${quote(subject)}`
}

export async function copy(text, what) {
  await navigator.clipboard.writeText(text)
  say(`Copied: ${what}`)
}
