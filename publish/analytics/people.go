package analytics

import (
	"hash/maphash"
	"math"
	"time"
)

// MaxPeople is how many people are counted one by one. With more of them a funnel counts
// a sample: half of all, then a quarter, and so on.
const MaxPeople = 1 << 20

// people are those who took the first step of a funnel. It has hashes and no names: a
// million people and three steps take 50 MB.
type people struct {
	steps  int
	split  bool // each has the place of a referral
	limit  int
	seed   maphash.Seed
	mask   uint64 // of the hashes; only those without these bits are in the sample
	index  map[uint64]uint32
	chunks [][]uint32 // the people, chunkPeople in each
}

const chunkPeople = 1 << 14

func newPeople(steps int, split bool) *people {
	return &people{steps: steps, split: split, limit: MaxPeople, seed: maphash.MakeSeed(), index: make(map[uint64]uint32)}
}

// person is one of people: how many steps they have reached, and for each step but the
// last when their chain began and when they took the step, in ticks.
type person []uint32

func (p person) reached() int                    { return int(p[0]) }
func (p person) setReached(n int)                { p[0] = uint32(n) }
func (p person) step(i int) (start, last uint32) { return p[1+2*i], p[2+2*i] }
func (p person) setStep(i int, start, last uint32) {
	p[1+2*i], p[2+2*i] = start, last
}

// referral is the last word, if there is one for it.
func (p person) referral() int     { return int(p[len(p)-1]) }
func (p person) setReferral(n int) { p[len(p)-1] = uint32(n) }

func (p *people) size() int {
	if p.split {
		return 2 * p.steps
	}
	return 1 + 2*(p.steps-1)
}

// find returns a person; nil if they are not in the sample, or not known and not to be
// added.
func (p *people) find(key string, add bool) person {
	hash := maphash.String(p.seed, key)
	if hash&p.mask != 0 {
		return nil
	}
	at, known := p.index[hash]
	if !known && !add {
		return nil
	}
	if !known {
		at = p.append(hash)
	}
	return p.at(at)
}

func (p *people) append(hash uint64) uint32 {
	at := uint32(len(p.index))
	if at%chunkPeople == 0 {
		p.chunks = append(p.chunks, make([]uint32, chunkPeople*p.size()))
	}
	p.index[hash] = at
	return at
}

func (p *people) at(i uint32) person {
	begin := int(i%chunkPeople) * p.size()
	return p.chunks[i/chunkPeople][begin : begin+p.size()]
}

// bound thins the sample when it is full.
func (p *people) bound() {
	if len(p.index) >= p.limit {
		p.thin()
	}
}

// thin halves the sample.
func (p *people) thin() {
	old := *p
	p.mask = p.mask<<1 | 1
	p.index, p.chunks = make(map[uint64]uint32, len(old.index)/2), nil
	for hash, at := range old.index {
		if hash&p.mask == 0 {
			copy(p.at(p.append(hash)), old.at(at))
		}
	}
}

// sampleOf returns of how many people one is in the sample.
func (p *people) sampleOf() uint64 { return p.mask + 1 }

// countReached returns how many people of the sample have reached each step.
func (p *people) countReached() (counts [MaxSteps]uint64) {
	for _, at := range p.index {
		for i := range p.at(at).reached() {
			counts[i]++
		}
	}
	return counts
}

// histogram counts times in ticks, in buckets that are 3 % wide each.
type histogram struct {
	buckets [buckets]uint64
	n       uint64
}

const (
	bucketsPerDoubling = 24
	buckets            = 32*bucketsPerDoubling + 1
)

func (h *histogram) add(waited uint32) {
	h.n++
	h.buckets[min(buckets-1, int(math.Round(math.Log2(float64(waited)+1)*bucketsPerDoubling)))]++
}

func (h *histogram) median() time.Duration {
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; h.n > 0 && 2*seen >= h.n {
			return time.Duration(math.Exp2(float64(i)/bucketsPerDoubling)-1+0.5) * tick
		}
	}
	return 0
}
