package schema

import (
	"cmp"
	"hash/fnv"
	"strconv"
	"strings"
)

// Subjects is the form of the subjects of a gateway's events:
//
//	<root>.<platform>.<account>.<prefix>.<action>[.p<partition>]
//
// No other code knows this form. A part of the gateway that needs a filter or a token uses
// [Tokens], which matches subjects with and without partition: a stream can have both.
type Subjects struct {
	Root string
	// Partitions is their number, at most MaxPartitions. 0: subjects have no partition.
	Partitions int
}

// MaxPartitions is the largest number of partitions.
const MaxPartitions = 64

// Of returns the subject of an event with this route. The account is escaped and never
// replaced, so each page has its own subjects.
func (s Subjects) Of(e *Event, route Route) string {
	t := Tokens{Platform: e.Data.Platform, Account: EscapeToken(e.Data.Account.ID), Prefix: route.Prefix, Action: route.Action}
	if s.Partitions > 0 {
		h := fnv.New32a()
		_, _ = h.Write([]byte(e.PartitionKey)) // never fails
		t.Partition = partitionToken(int(h.Sum32() % uint32(s.Partitions)))
	}
	return t.join(s.Root)
}

func partitionToken(n int) string { return "p" + strconv.Itoa(n) }

// IsPartition reports whether a token is that of a partition.
func IsPartition(token string) bool {
	digits, found := strings.CutPrefix(token, "p")
	n, err := strconv.Atoi(digits)
	return found && err == nil && 0 <= n && n < MaxPartitions && token == partitionToken(n)
}

// Tokens are those of an event's subject below the root. In a filter an empty one, or *,
// matches any token.
type Tokens struct{ Platform, Account, Prefix, Action, Partition string }

// ParseSubject returns the tokens of an event's subject. It returns false if the subject has
// another form.
func ParseSubject(root, subject string) (Tokens, bool) {
	below, found := strings.CutPrefix(subject, root+".")
	t := strings.Split(below, ".")
	switch {
	case found && len(t) == 4:
		return Tokens{t[0], t[1], t[2], t[3], ""}, true
	case found && len(t) == 5 && IsPartition(t[4]):
		return Tokens{t[0], t[1], t[2], t[3], t[4]}, true
	default:
		return Tokens{}, false
	}
}

// Filters returns filters that match the events with these tokens and do not overlap.
// Without a Partition they match subjects with and without one.
func (t Tokens) Filters(root string) []string {
	filter := t.join(root)
	switch {
	case t.Partition != "":
		return []string{filter}
	case t.Action != "":
		return []string{filter, filter + ".*"}
	default:
		return []string{filter + ".>"}
	}
}

// join returns the tokens up to the last one that is set, below the root.
func (t Tokens) join(root string) string {
	all := [...]string{root, t.Platform, t.Account, t.Prefix, t.Action, t.Partition}
	set := len(all)
	for set > 1 && all[set-1] == "" {
		set--
	}
	for i := range all {
		all[i] = cmp.Or(all[i], "*")
	}
	return strings.Join(all[:set], ".")
}

// covers reports whether the filters of t match all events that those of other match.
// Neither of them has a platform, an account or a partition.
func (t Tokens) covers(other Tokens) bool {
	return t == other || t == Tokens{Prefix: other.Prefix} || t == Tokens{}
}
