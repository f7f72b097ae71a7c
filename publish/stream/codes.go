package stream

import (
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// Codes of JetStream API errors that the client has no name for.
const (
	errCodeNoPeers         jetstream.ErrorCode = 10005
	errCodeNotAvailable    jetstream.ErrorCode = 10008 // a cluster without its leader
	errCodeNotLeader       jetstream.ErrorCode = 10009
	errCodeConsumerCreate  jetstream.ErrorCode = 10012 // for a reason without a code of its own
	errCodeStorageExceeded jetstream.ErrorCode = 10047
	errCodeInvalidConfig   jetstream.ErrorCode = 10052
	errCodeOtherStream     jetstream.ErrorCode = 10060 // a message that another stream was expected to store
	errCodeSubjectOverlap  jetstream.ErrorCode = 10065
	errCodeReplicas        jetstream.ErrorCode = 10074 // more than one, without a cluster
	errCodeStoreFailed     jetstream.ErrorCode = 10077 // the stream is at a bound
	errCodeConsumerStore   jetstream.ErrorCode = 10104
	errCodeMaxBytesMissing jetstream.ErrorCode = 10113
	errCodeNoTierLimits    jetstream.ErrorCode = 10120 // the account has none for so many replicas
	errCodeInProcess       jetstream.ErrorCode = 10158 // another publish is storing the same id
)

func errorCode(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode
	}
	var js jetstream.JetStreamError
	if errors.As(err, &js) && js.APIError() != nil {
		return js.APIError().ErrorCode
	}
	return 0
}

// rejectedError is the final error of a stream that has rejected a message.
type rejectedError struct {
	stream string
	error
}

func (e rejectedError) Error() string { return "stream " + e.stream + " refuses: " + e.error.Error() }

func (e rejectedError) Unwrap() error { return e.error }

// FullStream returns the stream that has rejected a message because it is at a bound;
// empty if none has.
func FullStream(err error) string {
	var rejected rejectedError
	if errors.As(err, &rejected) && errorCode(err) == errCodeStoreFailed {
		return rejected.stream
	}
	return ""
}
