// Package simulate makes webhook requests like those of the platforms: realistic, with
// the platforms' escapes, and correctly signed. gateway send, gateway demo, tests and
// benchmarks post them.
package simulate
