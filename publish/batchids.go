package publish

import (
	"time"

	"github.com/postback-gateway/gateway/publish/dedup"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// batchIDs are the ids of a batch.
type batchIDs struct {
	duplicates *duplicates // can be nil
	entries    []stream.Entry
	keys       []dedup.Key
}

func (d *duplicates) of(entries []stream.Entry) batchIDs {
	b := batchIDs{duplicates: d, entries: entries}
	if d != nil {
		b.keys = make([]dedup.Key, len(entries))
		for i := range entries {
			b.keys[i] = dedup.KeyOf(entries[i].ID())
		}
	}
	return b
}

// find marks the entries whose ids are stored, or returns why that is not known. It is
// called before each attempt: the one before may have stored something without an
// acknowledgement.
func (b *batchIDs) find() error {
	if b.duplicates == nil {
		return nil
	}
	known := b.known(time.Now())
	// Only now: an index may have been cleared meanwhile.
	if err := b.duplicates.err(); err != nil {
		return err
	}
	for i, sequence := range known {
		if err := b.entries[i].StoredAs(sequence); err != nil {
			return err
		}
	}
	return nil
}

// known returns the sequences of the entries that are stored, by their place in the batch.
func (b *batchIDs) known(now time.Time) map[int]uint64 {
	var all map[int]uint64 // mostly there are none
	for i := range b.entries {
		s := b.duplicates.streams[b.entries[i].Stream]
		if s == nil || b.entries[i].Outcome != schema.Failed {
			continue
		}
		if sequence, found := s.index.Find(b.keys[i], now); found {
			if all == nil {
				all = map[int]uint64{}
			}
			all[i] = sequence
		}
	}
	return all
}

// add remembers what was acknowledged.
func (b *batchIDs) add() {
	if b.duplicates == nil {
		return
	}
	now := time.Now()
	for i := range b.entries {
		e := &b.entries[i]
		if s := b.duplicates.streams[e.Stream]; s != nil && e.Outcome != schema.Failed {
			s.index.Add(b.keys[i], e.Sequence, now)
		}
	}
}
