package analytics

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// FunnelQuery says which steps people take, in their order.
type FunnelQuery struct {
	// Steps are payloads such as plan or plan:pro; 2 to MaxSteps of them.
	Steps   []string
	Account string        // empty: all
	Since   time.Time     // when the events were stored; zero: all
	Within  time.Duration // from a person's first step to the last; 0: any time
	// ByReferral splits the people by the referral with which they came before the first
	// step, or at it.
	ByReferral bool
}

// MaxSteps bounds the memory for each person.
const MaxSteps = 8

// Check reports what is wrong with the query.
func (q *FunnelQuery) Check() error {
	if n := len(q.Steps); n < 2 || n > MaxSteps {
		return fmt.Errorf("a funnel has 2 to %d steps, got %d", MaxSteps, n)
	}
	return nil
}

// Funnel is how many people went from step to step.
type Funnel struct {
	Steps []Step `json:"steps"`
	// SampleOf is 1 if everybody was counted. Above MaxPeople one of SampleOf people was,
	// and the numbers are multiplied.
	SampleOf uint64 `json:"sample_of"`
	// Referrals is empty without ByReferral.
	Referrals []Referred `json:"referrals,omitempty"`
}

// Step is one step of a funnel.
type Step struct {
	Step   string `json:"step"`
	People uint64 `json:"people"` // who reached it
	// Median is the time from the last click of the step before to the first one of this
	// step; zero for the first step. It is exact to 3 %.
	Median time.Duration `json:"median_ns"`
}

// CountFunnel reads the events of the steps once.
func CountFunnel(ctx context.Context, link *natsconn.Link, cfg stream.Settings, q FunnelQuery, progress Progress) (*Funnel, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	f := newFunnel(cfg, q)
	var filters []string
	for _, step := range f.steps {
		filters = append(filters, step.Filters...)
	}
	if q.ByReferral {
		filters = append(filters, cfg.PayloadFilters(schema.EscapeToken(q.Account), schema.RouteReferral("").Prefix)...)
	}
	scan := Scan{Stream: cfg.Stream, Filters: stream.Simplify(filters), Since: q.Since, Progress: progress}
	if err := scan.Run(ctx, link, f.read); err != nil {
		return nil, err
	}
	return f.result(), nil
}

// funnel is a count in progress. Clicks are taken in the order of the stream.
type funnel struct {
	query  FunnelQuery
	steps  []stream.Selection
	base   time.Time
	people *people
	times  [MaxSteps]histogram
	groups referrals
}

// epoch is longer than any stream's MaxAge; in ticks it fits 32 bits.
const (
	tick  = 100 * time.Millisecond
	epoch = 10 * 365 * 24 * time.Hour
)

func newFunnel(cfg stream.Settings, q FunnelQuery) *funnel {
	f := &funnel{query: q, base: time.Now().Add(-epoch), people: newPeople(len(q.Steps))}
	for _, step := range q.Steps {
		f.steps = append(f.steps, stream.Selection{Spec: stream.Events, Filters: cfg.PayloadFilters(schema.EscapeToken(q.Account), step)})
	}
	return f
}

func (f *funnel) read(m *stream.Message) {
	var e struct {
		Time         time.Time `json:"time"`
		PartitionKey string    `json:"partitionkey"`
		Data         struct {
			Referral schema.Referral `json:"referral"`
		} `json:"data"`
	}
	if json.Unmarshal(m.Data, &e) != nil || e.PartitionKey == "" {
		return
	}
	if from := referralName(&e.Data.Referral); f.query.ByReferral && from != "" {
		f.came(e.PartitionKey, from)
	}
	f.click(m.Subject, e.PartitionKey, e.Time)
}

// click moves a person on. The last step comes first, so that a click takes one step only.
func (f *funnel) click(subject, key string, at time.Time) {
	now := ticks(at.Sub(f.base))
	person := f.people.find(key, f.steps[0].Matches(subject))
	if person == nil {
		return // has not taken the first step, or is not in the sample
	}
	for i := len(f.steps) - 1; i >= 0; i-- {
		if f.steps[i].Matches(subject) {
			f.reach(person, i, now)
		}
	}
	f.people.bound()
}

// reach takes step i if the person has taken the one before, soon enough. Every click of
// a step replaces the one before, so that as many as possible are within the time.
func (f *funnel) reach(p person, i int, now uint32) {
	first, waited := now, uint32(0)
	if i > 0 {
		start, last := p.step(i - 1)
		if start == 0 || now < last || f.query.Within > 0 && now-start > ticks(f.query.Within) {
			return
		}
		first, waited = start, now-last
	}
	if i < len(f.steps)-1 {
		p.setStep(i, first, now)
	}
	if p.reached() == i {
		p.setReached(i + 1)
		f.times[i].add(waited)
	}
}

func ticks(d time.Duration) uint32 { return uint32(max(1, min(d/tick, math.MaxUint32))) }

func (f *funnel) result() *Funnel {
	result := &Funnel{SampleOf: f.people.sampleOf()}
	reached := f.people.countReached()
	for i, step := range f.query.Steps {
		s := Step{Step: step, People: reached[i] * result.SampleOf}
		if i > 0 {
			s.Median = f.times[i].median()
		}
		result.Steps = append(result.Steps, s)
	}
	if f.query.ByReferral {
		result.Referrals = f.split()
	}
	return result
}
