package cli

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deviceops/deviceops"
)

const (
	chartRows       = 12
	minChartColumns = 40

	// A cell of braille has two columns and four rows of dots.
	dotsAcross, dotsDown = 2, 4
)

// brailleDots are the bits of the dots of a cell, by column and row.
var brailleDots = [dotsAcross][dotsDown]rune{{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}}

// chart draws points over time with dots of braille.
type chart struct {
	points       []deviceops.MetricPoint
	since, until time.Time
	gap          time.Duration // beyond it two points are not joined
	low, high    float64       // of the axis
	tick         float64       // between two values of the axis
	axis         int           // columns for the values
	across       int           // cells
	cells        [][]rune
}

func newChart(m deviceops.DeviceMetric, columns int) *chart {
	c := &chart{points: m.Points, since: m.Since, until: m.Until, gap: gapOf(m.Points, time.Duration(m.StepS)*time.Second)}
	c.low, c.high, c.tick = axisOf(m.All.Min, m.All.Max)
	for v := c.low; v <= c.high+c.tick/2; v += c.tick {
		c.axis = max(c.axis, utf8.RuneCountInString(c.value(v)))
	}
	c.across = columns - c.axis - 3
	c.cells = make([][]rune, chartRows)
	for i := range c.cells {
		c.cells[i] = make([]rune, c.across)
	}
	c.draw()
	return c
}

// gapOf tells beyond which distance nothing came in between two points: devices
// may report more rarely than the steps are long.
func gapOf(points []deviceops.MetricPoint, step time.Duration) time.Duration {
	var distances []time.Duration
	for i := 1; i < len(points); i++ {
		distances = append(distances, points[i].At.Sub(points[i-1].At))
	}
	if len(distances) == 0 {
		return step
	}
	slices.Sort(distances)
	return max(step*3/2, distances[len(distances)/2]*5/2)
}

// axisOf gives round bounds around low and high, and the distance of the values
// that are written beside them.
func axisOf(low, high float64) (from, to, tick float64) {
	if low == high {
		pad := max(math.Abs(low)*0.1, 1)
		low, high = low-pad, high+pad
	}
	rough := (high - low) / 4
	tick = math.Pow(10, math.Floor(math.Log10(rough)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if tick*factor >= rough {
			tick *= factor
			break
		}
	}
	return math.Floor(low/tick) * tick, math.Ceil(high/tick) * tick, tick
}

// value writes a value of the axis, with the digits that its distance needs.
func (c *chart) value(v float64) string {
	digits := max(0, int(-math.Floor(math.Log10(c.tick)+1e-9)))
	return fmt.Sprintf("%.*f", digits, v+0) // + 0 makes zero of what is -0
}

func (c *chart) draw() {
	for i, p := range c.points {
		x := c.x(p.At)
		c.stroke(x, c.y(p.Min), x, c.y(p.Max))
		if i == 0 || p.At.Sub(c.points[i-1].At) > c.gap {
			continue
		}
		before := c.points[i-1]
		c.stroke(c.x(before.At), c.y(before.Avg), x, c.y(p.Avg))
	}
}

// x and y give the column and row of a dot, from the left and the top.
func (c *chart) x(at time.Time) int {
	share := float64(at.Sub(c.since)) / float64(c.until.Sub(c.since))
	return within(int(share*float64(c.across*dotsAcross)), c.across*dotsAcross)
}

func (c *chart) y(v float64) int {
	share := (c.high - v) / (c.high - c.low)
	return within(int(math.Round(share*float64(chartRows*dotsDown-1))), chartRows*dotsDown)
}

func within(n, size int) int { return min(max(n, 0), size-1) }

// stroke sets the dots from one to another.
func (c *chart) stroke(x0, y0, x1, y1 int) {
	steps := max(abs(x1-x0), abs(y1-y0), 1)
	for i := range steps + 1 {
		share := float64(i) / float64(steps)
		c.dot(x0+int(math.Round(share*float64(x1-x0))), y0+int(math.Round(share*float64(y1-y0))))
	}
}

func abs(n int) int { return max(n, -n) }

func (c *chart) dot(x, y int) {
	c.cells[y/dotsDown][x/dotsAcross] |= brailleDots[x%dotsAcross][y%dotsDown]
}

// lines gives the picture with its axes.
func (c *chart) lines() []string {
	labels := c.labels()
	lines := make([]string, 0, chartRows+2)
	for i, row := range c.cells {
		border := "│"
		if labels[i] != "" {
			border = "┤"
		}
		var picture strings.Builder
		for _, dots := range row {
			if dots == 0 {
				picture.WriteByte(' ')
			} else {
				picture.WriteRune(0x2800 + dots)
			}
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%*s %s%s", c.axis, labels[i], border, picture.String()), " "))
	}
	rule, times := c.times()
	pad := strings.Repeat(" ", c.axis+1)
	return append(lines, pad+"└"+rule, pad+" "+strings.TrimRight(times, " "))
}

// labels gives the values of the axis by row.
func (c *chart) labels() [chartRows]string {
	var labels [chartRows]string
	for v := c.low; v <= c.high+c.tick/2; v += c.tick {
		labels[c.y(v)/dotsDown] = c.value(v)
	}
	return labels
}

// times gives the rule below the picture, and the times under its marks.
func (c *chart) times() (rule, text string) {
	layout, span := "15:04", c.until.Sub(c.since)
	switch {
	case span > 14*24*time.Hour:
		layout = "2006-01-02"
	case span > 36*time.Hour:
		layout = "01-02 15:04"
	case span < 10*time.Minute:
		layout = "15:04:05"
	}
	marks := []rune(strings.Repeat("─", c.across))
	under := []rune(strings.Repeat(" ", c.across))
	every := markEvery(span * time.Duration(len(layout)+marksApart) / time.Duration(c.across))
	for at := c.since.Add(every - 1).Truncate(every); at.Before(c.until); at = at.Add(every) {
		column := c.x(at) / dotsAcross
		marks[column] = '┴'
		if column+len(layout) <= c.across {
			copy(under[column:], []rune(at.UTC().Format(layout)))
		}
	}
	return string(marks), string(under)
}

// marksApart is the least number of columns between two times below the axis.
const marksApart = 4

// markEvery gives the shortest round time that is not below least.
func markEvery(least time.Duration) time.Duration {
	const day = 24 * time.Hour
	for _, every := range []time.Duration{
		time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day, 14 * day, 28 * day,
	} {
		if every >= least {
			return every
		}
	}
	return (least + day - 1).Truncate(day)
}

var sparks = []rune("▁▂▃▄▅▆▇█")

// sparkline draws the averages of a group, a character for each step, spaces
// where nothing came in. Its own least and most are the bounds.
func sparkline(m deviceops.FleetMetric, points []deviceops.MetricPoint) string {
	if len(points) == 0 || m.StepS == 0 {
		return ""
	}
	step := time.Duration(m.StepS) * time.Second
	low, high := points[0].Avg, points[0].Avg
	for _, p := range points {
		low, high = min(low, p.Avg), max(high, p.Avg)
	}
	first := m.Since.Truncate(step)
	line := []rune(strings.Repeat(" ", int(m.Until.Sub(first)/step)+1))
	for _, p := range points {
		level := len(sparks) / 2
		if high > low {
			level = int((p.Avg - low) / (high - low) * float64(len(sparks)-1))
		}
		line[within(int(p.At.Sub(first)/step), len(line))] = sparks[level]
	}
	return string(line)
}

// groupName shows the key of a group, and says so where devices have none.
func groupName(key, by string) string {
	switch {
	case key != "":
		return key
	case by == "":
		return "all"
	default:
		return "(none)"
	}
}

func groupHeader(by string) string {
	if by == "" {
		return "GROUP"
	}
	return strings.ToUpper(by)
}
