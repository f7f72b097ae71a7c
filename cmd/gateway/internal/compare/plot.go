//go:build linux

package main

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"strings"
)

// Sizes of the plots, in pixels.
const (
	plotWidth  = 760
	nameWidth  = 270
	plotRight  = plotWidth - 30
	rowHeight  = 26
	plotTop    = 64
	lineHeight = 240
)

var colours = []string{"#0969da", "#bc4c00", "#1a7f37", "#8250df", "#9a6700"}

// drawing is an SVG that grows.
type drawing struct{ strings.Builder }

func (d *drawing) text(x, y float64, anchor, text string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(text))
}

func (d *drawing) line(x1, y1, x2, y2 float64, style string) {
	fmt.Fprintf(d, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", x1, y1, x2, y2, style)
}

func (d *drawing) box(x1, x2, y, height float64, colour string) {
	fmt.Fprintf(d, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" fill-opacity="0.35" stroke="%s"/>`+"\n",
		x1, y, max(x2-x1, 1), height, colour, colour)
}

// legend names one of so many colours, at the top on the right.
func (d *drawing) legend(of, n int, name string) {
	x := float64(plotRight - 110*(of-n))
	fmt.Fprintf(d, `<circle cx="%.1f" cy="40" r="4" fill="%s"/>`+"\n", x, colours[n%len(colours)])
	d.text(x+10, 44, "start", name)
}

// svg wraps what was drawn. The background is white also where the page is dark.
func (d *drawing) svg(title string, height float64) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" width="%d" height="%.0f" font-family="sans-serif" font-size="12" fill="#1f2328" role="img">
<title>%s</title>
<rect width="100%%" height="100%%" fill="#ffffff"/>
<text x="12" y="22" font-size="14" font-weight="bold">%s</text>
%s</svg>
`, plotWidth, height, plotWidth, height, html.EscapeString(title), html.EscapeString(title), d.String())
}

const (
	gridStyle = `stroke="#d0d7de"`
	oneStyle  = `stroke="#cf222e" stroke-dasharray="4 3"`
)

func (m *measurement) plot() string {
	if m.scenario.axis != "" {
		return m.growthPlot()
	}
	return m.ratioPlot()
}

// row is one box of the plot of ratios; the second of a seat has no name.
type row struct {
	name, colour string
	spread       spread
}

// ratioPlot shows the ratios to the first seat as boxes: quartiles and median, with
// whiskers from 5 % to 95 % of the rounds.
func (m *measurement) ratioPlot() string {
	group := m.groups[0]
	var rows []row
	for _, r := range group[1:] {
		rows = append(rows,
			row{r.seat.name, colours[0], spreadOf(ratios(r.rates, group[0].rates))},
			row{"", colours[1], spreadOf(ratios(r.cpu, group[0].cpu))},
		)
	}
	low, high := 0.9, 1.1
	for _, r := range rows {
		low, high = min(low, r.spread.low), max(high, r.spread.high)
	}
	step := niceStep((high - low) / 6)
	low, high = math.Floor(low/step)*step, math.Ceil(high/step)*step
	x := func(v float64) float64 { return nameWidth + (v-low)/(high-low)*(plotRight-nameWidth) }

	d := &drawing{}
	bottom := float64(plotTop + len(rows)*rowHeight)
	d.text(12, 44, "start", "ratio to "+group[0].seat.name+" in the same round")
	d.legend(2, 0, "events/s")
	d.legend(2, 1, "CPU per event")
	for v := low; v <= high+step/2; v += step {
		d.line(x(v), plotTop-8, x(v), bottom, gridStyle)
		d.text(x(v), bottom+16, "middle", fmt.Sprintf("%.4g", math.Round(v/step)*step))
	}
	d.line(x(1), plotTop-8, x(1), bottom, oneStyle)
	for i, r := range rows {
		y := float64(plotTop + i*rowHeight)
		line := fmt.Sprintf(`stroke="%s"`, r.colour)
		d.text(nameWidth-8, y+13, "end", r.name)
		d.line(x(r.spread.low), y+9, x(r.spread.high), y+9, line)
		d.box(x(r.spread.q1), x(r.spread.q3), y+2, 14, r.colour)
		d.line(x(r.spread.median), y+1, x(r.spread.median), y+17, line+` stroke-width="2.5"`)
	}
	return d.svg(m.scenario.title, bottom+30)
}

// niceStep returns 1, 2 or 5 times a power of ten that is not below the value.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= v*(1-1e-9) {
			return factor * power
		}
	}
	return 10 * power
}

// curve is one line of the plot of growth.
type curve struct {
	name   string
	values []float64
}

// curves returns the CPU for each event of every seat, but for the second one of the
// same program.
func (m *measurement) curves() []curve {
	var all []curve
	for i, r := range m.groups[0] {
		if strings.HasSuffix(r.seat.name, "again") {
			continue
		}
		c := curve{name: r.seat.name}
		for _, group := range m.groups {
			c.values = append(c.values, spreadOf(group[i].cpu).median)
		}
		all = append(all, c)
	}
	return all
}

// growthPlot shows the CPU for each event over what grows, whose values stand at
// equal distances: they grow by factors.
func (m *measurement) growthPlot() string {
	curves, shapes := m.curves(), m.scenario.shapes
	high := 0.0
	for _, c := range curves {
		for _, v := range c.values {
			high = max(high, v)
		}
	}
	step := niceStep(high / 5)
	high = math.Ceil(high/step) * step
	const left = 70
	x := func(i int) float64 { return left + 20 + float64(i)*(plotRight-left-40)/max(1, float64(len(shapes)-1)) }
	y := func(v float64) float64 { return plotTop + lineHeight*(1-v/high) }

	d := &drawing{}
	d.text(12, 44, "start", "CPU µs per event")
	for v := 0.0; v <= high+step/2; v += step {
		d.line(left, y(v), plotRight, y(v), gridStyle)
		d.text(left-8, y(v)+4, "end", fmt.Sprintf("%.4g", v))
	}
	for i, s := range shapes {
		d.text(x(i), y(0)+18, "middle", cmp.Or(thousands(s.x), "0"))
	}
	d.text((left+plotRight)/2, y(0)+36, "middle", m.scenario.axis)
	for n, c := range curves {
		points := make([]string, len(c.values))
		for i, v := range c.values {
			points[i] = fmt.Sprintf("%.1f,%.1f", x(i), y(v))
			fmt.Fprintf(d, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x(i), y(v), colours[n%len(colours)])
		}
		fmt.Fprintf(d, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colours[n%len(colours)])
		d.legend(len(curves), n, c.name)
	}
	return d.svg(m.scenario.title, y(0)+48)
}
