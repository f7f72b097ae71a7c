// The echo bot of Telegraf's documentation, with a webhook. It verifies the secret token
// itself.
const http = require('http')
const { Telegraf } = require('telegraf')

const bot = new Telegraf('1:TOKEN', {
  telegram: { apiRoot: process.env.API_ROOT, webhookReply: process.env.WEBHOOK_REPLY === 'true' }
})

// Telegraf writes a few calls into its response, this one too, but not a message.
if (process.env.WEBHOOK_REPLY === 'true') bot.on('text', ctx => ctx.sendChatAction('typing'))

bot.on('text', ctx => ctx.reply(ctx.message.text))

bot.createWebhook({ domain: 'bot.example', path: '/telegraf', secret_token: process.env.SECRET_TOKEN }).then(webhook => {
  const server = http.createServer(webhook)
  require('./stop')(server)
  server.listen(process.env.PORT, '127.0.0.1', () => console.log('listening'))
})
