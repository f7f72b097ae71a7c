// Package reload loads files of secrets and certificates again when they change, while
// the gateway runs.
package reload
