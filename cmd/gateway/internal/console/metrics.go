package console

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// read fills in what the gateway's own metrics say: they are measured anyway.
func (s *status) read(families []*dto.MetricFamily) {
	gauges := map[string]*float64{
		"gateway_stream_events": &s.Store.Events, "gateway_stream_bytes": &s.Store.Bytes, "gateway_stream_limit_bytes": &s.Store.Limit,
		"gateway_disk_free_bytes": &s.Store.DiskFree, "gateway_disk_size_bytes": &s.Store.DiskSize, "gateway_unclaimed_subjects": &s.Store.Unclaimed,
	}
	pending, lag := map[string]float64{}, map[string]float64{}
	webhooks := map[string]*forwards{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			label := labels(m)
			if strings.HasPrefix(family.GetName(), "gateway_forward") {
				readForwards(webhooks, family.GetName(), label, m)
				continue
			}
			switch name := family.GetName(); name {
			case "gateway_last_event_timestamp_seconds":
				at := time.UnixMilli(int64(m.GetGauge().GetValue() * 1000))
				s.Accounts = append(s.Accounts, account{label["platform"], label["account"], at})
			case "gateway_events_total":
				s.Totals[label["outcome"]] += int(m.GetCounter().GetValue())
			case "gateway_http_requests_total":
				if strings.HasSuffix(label["handler"], "_handshake") && label["code"] == "200" {
					s.Handshakes += int(m.GetCounter().GetValue())
				}
			case "gateway_consumer_pending_events":
				pending[label["consumer"]] = m.GetGauge().GetValue()
			case "gateway_consumer_lag_seconds":
				lag[label["consumer"]] = m.GetGauge().GetValue()
			default:
				if gauge := gauges[name]; gauge != nil {
					*gauge = m.GetGauge().GetValue()
				}
			}
		}
	}
	for name, events := range pending {
		s.Consumers = append(s.Consumers, consumer{name, events, lag[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(webhooks)) {
		if !webhooks[name].isUnused() {
			s.Forwards = append(s.Forwards, *webhooks[name])
		}
	}
	slices.SortFunc(s.Consumers, func(a, b consumer) int {
		return cmp.Or(cmp.Compare(b.Lag, a.Lag), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(s.Accounts, func(a, b account) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Account, b.Account))
	})
}

func readForwards(all map[string]*forwards, name string, label map[string]string, m *dto.Metric) {
	f := all[label["webhook"]]
	if f == nil {
		f = &forwards{Webhook: label["webhook"]}
		all[f.Webhook] = f
	}
	switch name {
	case "gateway_forward_pending_deliveries":
		f.Pending = m.GetGauge().GetValue()
	case "gateway_forward_lag_seconds":
		f.Lag = m.GetGauge().GetValue()
	case "gateway_forwarded_deliveries_total":
		n := m.GetCounter().GetValue()
		switch label["outcome"] {
		case "forwarded":
			f.done = n
		case "failed":
			f.Failed = n
		case "given_up":
			f.GivenUp = n
		}
	}
}

// isUnused reports whether nothing was forwarded: the metrics exist without a bot, too.
func (f *forwards) isUnused() bool { return f.Pending+f.Failed+f.GivenUp+f.done == 0 }

func labels(m *dto.Metric) map[string]string {
	all := make(map[string]string)
	for _, pair := range m.GetLabel() {
		all[pair.GetName()] = pair.GetValue()
	}
	return all
}
