// Package publishtest has what the tests of publish and of the packages around it share: a
// Publisher on an embedded or a real server, events, and what became of them.
package publishtest
