package embedded

import "encoding/binary"

// The beginning of a consumer's state as the server writes it.
const (
	stateMagic   = 22
	stateVersion = 2
	oldVersion   = 1 // of servers before 2.2, which no store of ours has
	stateHeader  = 2 // bytes
)

// beginningOfStream is the state of a consumer to which nothing was delivered.
var beginningOfStream = []byte{stateMagic, stateVersion, 0, 0, 0, 0, 0, 0}

// validState reports whether the server's decoder accepts a consumer's state, and
// whether it is a whole one. The decoder also accepts a state whose end is zeros, as
// one of several pages is after a power cut, and the consumer then skips what it has
// not acknowledged.
func validState(state []byte) bool {
	if len(state) < stateHeader || state[0] != stateMagic {
		return false
	}
	if state[1] != stateVersion {
		return state[1] == oldVersion
	}
	r := stateReader{rest: state[stateHeader:], valid: true}
	_, acknowledged := r.uvarint(), r.uvarint()
	_, delivered := r.uvarint(), r.uvarint()
	const highBit = 1 << 63
	if !r.valid || (acknowledged|delivered)&highBit != 0 {
		return false
	}
	if pending := r.uvarint(); pending > 0 {
		r.varint() // the time that the others count from
		r.entries(pending, func() bool {
			distance := r.uvarint() // from what is acknowledged, so never 0
			r.uvarint()
			r.varint()
			return distance > 0
		})
	}
	r.entries(r.uvarint(), func() bool {
		r.uvarint()
		return r.uvarint() > 0 // deliveries
	})
	return r.valid && len(r.rest) == 0
}

// stateReader decodes numbers until one is not valid.
type stateReader struct {
	rest  []byte
	valid bool
}

func (r *stateReader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	r.skip(size)
	return n
}

func (r *stateReader) varint() {
	_, size := binary.Varint(r.rest)
	r.skip(size)
}

func (r *stateReader) skip(size int) {
	if r.valid = r.valid && size > 0; r.valid {
		r.rest = r.rest[size:]
	}
}

// entries reads so many entries, none of which is shorter than two bytes.
func (r *stateReader) entries(count uint64, valid func() bool) {
	if count > uint64(len(r.rest)/2) {
		r.valid = false
	}
	for ; r.valid && count > 0; count-- {
		r.valid = valid() && r.valid
	}
}
