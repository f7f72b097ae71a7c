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
// million people and eight steps take 76 MB.
type people struct {
	steps  int
	limit  int
	seed   maphash.Seed
	mask   uint64     // of the hashes; only those without these bits are in the sample
	n      int        // how many people there are
	chunks [][]uint32 // the people, chunkPeople in each
	// slots find a person by the hash: each has a number from 1 on, or 0. There are a power
	// of two of them, and at least twice as many as people. A map takes four times as much.
	slots []uint32
}

const (
	chunkPeople = 1 << 14
	minSlots    = 1 << 10
)

func newPeople(steps int) *people {
	return &people{steps: steps, limit: MaxPeople, seed: maphash.MakeSeed(), slots: make([]uint32, minSlots)}
}

// person is one of people: the hash, the referral with how many steps they have reached,
// and for each step but the last when their chain began and when they took the step, in
// ticks.
type person []uint32

func (p person) hash() uint64                    { return uint64(p[0])<<32 | uint64(p[1]) }
func (p person) setHash(hash uint64)             { p[0], p[1] = uint32(hash>>32), uint32(hash) }
func (p person) reached() int                    { return int(p[2] % 256) }
func (p person) setReached(n int)                { p[2] = p[2]/256*256 + uint32(n) }
func (p person) referral() int                   { return int(p[2] / 256) }
func (p person) setReferral(n int)               { p[2] = uint32(n)*256 + p[2]%256 }
func (p person) step(i int) (start, last uint32) { return p[3+2*i], p[4+2*i] }
func (p person) setStep(i int, start, last uint32) {
	p[3+2*i], p[4+2*i] = start, last
}

func (p *people) size() int { return 3 + 2*(p.steps-1) }

// find returns a person; nil if they are not in the sample, or not known and not to be
// added.
func (p *people) find(key string, add bool) person {
	hash := maphash.String(p.seed, key)
	if hash&p.mask != 0 {
		return nil
	}
	slot := p.slot(hash)
	switch {
	case *slot > 0:
		return p.at(int(*slot) - 1)
	case !add:
		return nil
	default:
		return p.append(hash, slot)
	}
}

// slot returns the slot of a hash, or the one that is free for it.
func (p *people) slot(hash uint64) *uint32 {
	last := uint64(len(p.slots) - 1)
	// The low bits are the same for everybody in a sample.
	for i := hash >> 32; ; i++ {
		slot := &p.slots[i&last]
		if *slot == 0 || p.at(int(*slot)-1).hash() == hash {
			return slot
		}
	}
}

func (p *people) append(hash uint64, slot *uint32) person {
	if p.n%chunkPeople == 0 {
		p.chunks = append(p.chunks, make([]uint32, chunkPeople*p.size()))
	}
	added := p.at(p.n)
	added.setHash(hash)
	p.n++
	*slot = uint32(p.n)
	if 2*p.n > len(p.slots) {
		p.fillSlots(2 * len(p.slots))
	}
	return added
}

// fillSlots makes new slots for the people.
func (p *people) fillSlots(n int) {
	p.slots = make([]uint32, n)
	for i := range p.n {
		*p.slot(p.at(i).hash()) = uint32(i) + 1
	}
}

func (p *people) at(i int) person {
	begin := i % chunkPeople * p.size()
	return p.chunks[i/chunkPeople][begin : begin+p.size()]
}

// all calls each for everybody.
func (p *people) all(each func(person)) {
	for i := range p.n {
		each(p.at(i))
	}
}

// bound thins the sample when it is full.
func (p *people) bound() {
	if p.n >= p.limit {
		p.thin()
	}
}

// thin halves the sample, in its place.
func (p *people) thin() {
	p.mask = p.mask<<1 | 1
	kept := 0
	p.all(func(one person) {
		if one.hash()&p.mask == 0 {
			copy(p.at(kept), one)
			kept++
		}
	})
	for i := kept; i < p.n; i++ {
		clear(p.at(i))
	}
	p.n = kept
	chunks := (kept + chunkPeople - 1) / chunkPeople
	clear(p.chunks[chunks:])
	p.chunks = p.chunks[:chunks]
	p.fillSlots(len(p.slots))
}

// sampleOf returns of how many people one is in the sample.
func (p *people) sampleOf() uint64 { return p.mask + 1 }

// countReached returns how many people of the sample have reached each step.
func (p *people) countReached() (counts [MaxSteps]uint64) {
	p.all(func(one person) {
		for i := range one.reached() {
			counts[i]++
		}
	})
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
