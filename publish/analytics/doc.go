// Package analytics counts what people do, from the stored events: counts.go the most
// pressed buttons, series.go the events over time, funnel.go how many people went from
// step to step, referral.go from which links. All read through the bounded scan of
// scan.go. Memory per person is bounded by people.go.
package analytics
