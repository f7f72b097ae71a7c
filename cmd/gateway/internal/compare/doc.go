// Compare measures the gateway beside what a team would write by hand, or beside
// another build of itself. It is the program of make compare and not a part of the
// gateway's binary.
//
// Every contestant is a separate process with a separate store. All contestants run
// side by side and take turns of half a second under the same load, in an order that
// changes from round to round. A machine that becomes slower or faster does so for
// all of them. The report has the medians and quartiles of the ratios within a round,
// and the CPU of the process under test only.
//
// At the end compare reads the streams back: each event that was answered 200 must be
// stored exactly once, and no event twice.
package main
