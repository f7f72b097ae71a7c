package analytics

import (
	"cmp"
	"slices"

	"github.com/postback-gateway/gateway/schema"
)

// Referred is the people of a funnel who came with the same referral.
type Referred struct {
	// Referral is the parameter of the link, or else where the link was. It is empty for
	// the people without one, and OtherReferrals for those beyond MaxReferrals.
	Referral string   `json:"referral"`
	People   []uint64 `json:"people"` // who reached each step
}

const (
	// MaxReferrals bounds a split: anybody can write the parameter of a link.
	MaxReferrals   = 50
	OtherReferrals = "(others)"
)

// referrals numbers the referrals in the order in which they are first seen. 0 is none.
type referrals struct {
	names   []string
	numbers map[string]int
}

func (r *referrals) number(name string) int {
	if n := r.numbers[name]; n > 0 {
		return n
	}
	if len(r.names) >= MaxReferrals {
		name = OtherReferrals
		if n := r.numbers[name]; n > 0 {
			return n
		}
	}
	if r.numbers == nil {
		r.numbers = make(map[string]int)
	}
	r.names = append(r.names, name)
	r.numbers[name] = len(r.names)
	return len(r.names)
}

func referralName(r *schema.Referral) string { return cmp.Or(r.Ref, r.Source) }

// came notes with which referral a person comes who has not taken the first step. The last
// one counts.
func (f *funnel) came(key, referral string) {
	if p := f.people.find(key, true); p != nil && p.reached() == 0 {
		p.setReferral(f.groups.number(referral))
	}
	f.people.bound()
}

// split counts the people of each referral, most people first.
func (f *funnel) split() []Referred {
	names := append([]string{""}, f.groups.names...)
	groups := make([]Referred, len(names))
	for i, name := range names {
		groups[i] = Referred{name, make([]uint64, len(f.steps))}
	}
	f.people.all(func(p person) {
		for i := range p.reached() {
			groups[p.referral()].People[i] += f.people.sampleOf()
		}
	})
	groups = slices.DeleteFunc(groups, func(r Referred) bool { return r.People[0] == 0 })
	slices.SortFunc(groups, func(a, b Referred) int {
		return cmp.Or(cmp.Compare(b.People[0], a.People[0]), cmp.Compare(a.Referral, b.Referral))
	})
	return groups
}
