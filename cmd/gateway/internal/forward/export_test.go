package forward

// Stop does what Close does before it waits.
func (f *Forwarder) Stop() { f.stop() }
