package ingest

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postback-gateway/gateway/schema"
)

// addOther adds a well-formed item that is not a click: a text, a receipt, a change of the
// account. It is counted as ignored if such items are not stored.
func (b *batch) addOther(e *event) error {
	if !b.storeOther {
		b.ignore(e.Platform, 1)
		return nil
	}
	if b.others++; b.others > b.maxOthers() {
		b.surplus++
		return nil
	}
	other := event{body: e.body, origin: e.origin}
	other.Platform, other.Account, other.Channel, other.What = e.Platform, e.Account, e.Channel, "item"
	if e.describe != nil {
		e.describe(&other)
	}
	if other.User.ID == "" && other.User.Ref == "" {
		other.User = schema.User{} // a name alone is not a person
	}
	return b.addEvent(&other)
}

// maxOthers returns how many items that are not clicks become events of their own.
func (b *batch) maxOthers() int { return maxOthers + b.size/bytesOfOther }

// otherID returns the id of an item that is not a click. One message can be several of
// them: it is sent, delivered and read.
func (e *event) otherID() string {
	if id := e.id + ":" + e.What; e.id != "" && len(id)+len(schema.StandbySuffix) <= schema.MaxID {
		return id
	}
	sum := sha256.Sum256(e.body)
	return schema.DeriveID(schema.Identity{
		Platform: e.Platform, Account: e.Account.ID, User: e.User, Timestamp: string(e.timestamp),
		Kind: labelOther, Payload: hex.EncodeToString(sum[:]),
	})
}

// tellingMember returns the first member of an object whose name is not among the common
// ones: it says what the object is about.
func tellingMember(object []byte, common ...string) (name string, value jsontext.Value) {
	w := newWalker(object)
	defer w.release()
	_ = w.object(func(member string) error { // the object has been read before
		body, err := w.value()
		if name == "" && !slices.Contains(common, member) {
			name, value = member, body
		}
		return err
	})
	return name, value
}
