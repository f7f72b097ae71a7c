package schema

import (
	"cmp"
	"strings"
)

// OtherRoot stands before the subject root in the subject of an event of [TypeOther].
const OtherRoot = "other."

// OtherSubject returns the subject other.<root>.<platform>.<account>.<what>. An item
// without an account has _ instead.
func OtherSubject(root, platform, account, what string) string {
	account = cmp.Or(EscapeToken(account), tokenNone)
	return strings.Join([]string{OtherRoot + root, platform, account, pieceToken(what)}, ".")
}

// subject returns the subject that the event is published on.
func (i *Item) subject(s Subjects) string {
	if d := &i.Event.Data; d.What != "" {
		return OtherSubject(s.Root, d.Platform, d.Account.ID, d.What)
	}
	return s.Of(i.Event, i.Route)
}
