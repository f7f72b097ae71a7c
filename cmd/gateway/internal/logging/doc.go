// Package logging makes the gateway's logger. It writes in the background, so that a
// slow reader of the log delays no delivery; lines that do not fit are counted and
// reported.
package logging
