package schema

// Some values of [Referral.Type] in an opt-in. The set is open: other opt-ins have the
// type that the platform sent.
const (
	OptinStop           = "STOP"   // the person opted out
	OptinResume         = "RESUME" // the person opted in again
	OptinCallPermission = "CALL_PERMISSION"
)

// OptinAction returns the action by which an opt-out (stop) or a renewed opt-in (resume) is
// routed, "" for others.
func (r *Referral) OptinAction() string {
	switch {
	case r == nil:
		return ""
	case r.Type == OptinStop:
		return "stop"
	case r.Type == OptinResume:
		return "resume"
	default:
		return ""
	}
}

func (r *Referral) ref() string {
	if r == nil {
		return ""
	}
	return r.Ref
}
