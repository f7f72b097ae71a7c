// A bot that is stopped finishes what it is doing, as behind any supervisor.
module.exports = function stop (server) {
  process.on('SIGTERM', () => {
    server.prependListener('request', (_, response) => response.setHeader('connection', 'close'))
    server.close()
    server.closeIdleConnections()
  })
}
