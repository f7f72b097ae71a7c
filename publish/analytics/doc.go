// Package analytics counts what people do, from the stored events: counts.go the most
// pressed buttons, funnel.go how many people went from step to step. Both read through
// the bounded scan of scan.go. Memory per person is bounded by people.go.
package analytics
