// Compare measures the gateway beside what a team would write by hand, or beside
// another build of itself. It is the program of make compare and not a part of the
// gateway's binary.
//
// Every contestant is a process of its own with a store of its own. All of them run
// side by side and take turns of half a second under the same load, in an order that
// changes from round to round: a machine that becomes slower or faster does so for
// all of them. What is reported are the medians and quartiles of the ratios within
// a round, and the CPU of the process under test alone.
//
// At the end the streams are read: each event that was answered 200 has to be stored
// exactly once, and no event twice.
package main
