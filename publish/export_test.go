package publish

// Indexed returns the sequence up to which the index has all ids of a stream.
func (p *Publisher) Indexed(stream string) uint64 {
	return p.duplicates.streams[stream].index.Complete()
}
