// Package replay has stored messages processed again. A consumer receives events again
// (replay.go): it is reset, so nothing is published twice. Dead letters are parsed again, or
// posted to the existing bot again (deadletters.go).
package replay
