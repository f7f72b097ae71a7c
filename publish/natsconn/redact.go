package natsconn

import "regexp"

// HideSubjects returns a function that keeps only the root of the subjects in a text:
// the rest of an event's subject tells what somebody has clicked. It ignores the case,
// because the client library changes it.
func HideSubjects(root string) func(string) string {
	subjects := regexp.MustCompile(`(?i)\b(` + regexp.QuoteMeta(root) + `)\.[^\s"]+`)
	return func(text string) string { return subjects.ReplaceAllString(text, "$1.>") }
}
