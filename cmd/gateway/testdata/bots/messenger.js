// The echo bot of messenger-bot's README. It verifies the SHA-1 signature itself.
const http = require('http')
const Bot = require('messenger-bot')

const bot = new Bot({
  token: 'PAGE_TOKEN',
  verify: 'VERIFY_TOKEN',
  app_secret: process.env.APP_SECRET,
  graph_url: process.env.GRAPH_URL
})

bot.on('error', err => console.error(err.message))

bot.on('message', (payload, reply) => {
  reply({ text: payload.message.text }, err => { if (err) console.error(err) })
})

const server = http.createServer(bot.middleware())
require('./stop')(server)
server.listen(process.env.PORT, '127.0.0.1', () => console.log('listening'))
