// Package console is the page on the admin listener, and its API: what arrived, what it
// became, and why something was rejected.
//
//	ring.go     the last deliveries, filled only while somebody looks
//	record.go   one delivery in the ring
//	tally.go    the rejections of the last minutes, counted also while nobody looks
//	mask.go     hides what is personal, and secrets
//	live.go     GET  /api/deliveries/live: the list, as server-sent events
//	detail.go   GET  /api/deliveries/{seq}, POST …/reveal: one delivery
//	status.go   GET  /api/page: the strip, and what the page has to know
//	report.go   the doctor's findings, shared by all pages
//	metrics.go  what the status reads from the gateway's own metrics
//	clicks.go   GET  /api/clicks, POST /api/clicks/titles: what people press
//	funnel.go   GET  /api/funnel: how many people go from step to step
//	scan.go     reads stored events for both, one scan at a time, with progress
//	consumers.go, receivers.go  GET /api/consumers, /api/receivers, /api/deliveries/{seq}/receivers
//	try.go      POST /api/try/preview, /api/try/send
//	fix.go      GET and POST /api/fix…: dead letters and events are replayed
//	page/       the page itself: plain HTML, CSS and modules, without a build step
//
// The package declares what it needs of the others in [Config]; server connects them.
// Everything that a platform or a person wrote is hostile: the API returns it as strings
// in JSON, and the page displays it with textContent only.
package console
