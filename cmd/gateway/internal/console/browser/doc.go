// Package browser tests the console in a real browser, with a real gateway. It is a module
// of its own, so that nothing of it is in the gateway's.
package browser
