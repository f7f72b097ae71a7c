package console

import (
	"cmp"
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
	for _, family := range families {
		for _, m := range family.GetMetric() {
			label := labels(m)
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
	slices.SortFunc(s.Consumers, func(a, b consumer) int {
		return cmp.Or(cmp.Compare(b.Lag, a.Lag), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(s.Accounts, func(a, b account) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Account, b.Account))
	})
}

func labels(m *dto.Metric) map[string]string {
	all := make(map[string]string)
	for _, pair := range m.GetLabel() {
		all[pair.GetName()] = pair.GetValue()
	}
	return all
}
