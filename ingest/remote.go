package ingest

import (
	"net/netip"
	"strings"
)

// remote returns the client's address for the log. Behind trusted proxies it is the last
// address in X-Forwarded-For that is not one of theirs: whatever stands before it was
// written by the client.
func (s *Server) remote(r *request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !s.isTrusted(peer.Addr()) {
		return r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	client := r.RemoteAddr
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return client // of the last one that can be believed
		}
		if client = hop.String(); !s.isTrusted(hop) {
			return client
		}
	}
	return client
}

func (s *Server) isTrusted(a netip.Addr) bool {
	for _, prefix := range s.cfg.TrustedProxies {
		if prefix.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}
