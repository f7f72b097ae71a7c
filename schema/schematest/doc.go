// Package schematest checks published messages in tests: the event against the JSON
// Schema, and the subject against the rules for subjects. Consumers can use it too.
package schematest
