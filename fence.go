package deviceops

import "math"

// earthRadius is the mean radius of the Earth in meters (IUGG).
const earthRadius = 6_371_008.8

// Distance gives the meters between two places along the surface, taken as a
// sphere: at most 0.6 % off. By the haversine formula, which is exact for short
// distances, too (R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope
// 68, 1984).
func (p Place) Distance(to Place) float64 {
	north, east := radians(to.Latitude-p.Latitude), radians(to.Longitude-p.Longitude)
	h := math.Pow(math.Sin(north/2), 2) + math.Cos(radians(p.Latitude))*math.Cos(radians(to.Latitude))*math.Pow(math.Sin(east/2), 2)
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}

func radians(degrees float64) float64 { return degrees * math.Pi / 180 }

// Valid reports whether p lies on the Earth.
func (p Place) Valid() bool { return math.Abs(p.Latitude) <= 90 && math.Abs(p.Longitude) <= 180 }

// Fence is an area: a circle, or a polygon of at least three corners whose sides
// are straight in degrees and go the short way around the Earth. Of a polygon
// that goes around a pole, the inside is where the nearer pole is.
type Fence struct {
	Center  Place
	Radius  float64 // meters
	Polygon []Place // instead of a circle
}

// MinMove is how far a device has to be from where it was to be at another place,
// in meters: below it are the errors of receivers.
const MinMove = 10

// Move gives what an event tells of a device that says that it is at a place; ok
// is false if that is where it was. from is nil where nothing was known.
func Move(from *Place, to Place) (data map[string]any, ok bool) {
	data = map[string]any{"latitude": to.Latitude, "longitude": to.Longitude}
	if from == nil {
		return data, true
	}
	moved := from.Distance(to)
	data["from"] = map[string]any{"latitude": from.Latitude, "longitude": from.Longitude}
	data["moved_m"] = math.Round(moved)
	return data, moved >= MinMove
}

// Beyond gives how far outside of the fence a place is, in meters; 0: it is
// inside. To a side of a polygon the distance is that on a map around the place:
// good for margins, not for journeys.
func (f Fence) Beyond(p Place) float64 {
	switch {
	case f.Contains(p):
		return 0
	case len(f.Polygon) == 0:
		return f.Center.Distance(p) - f.Radius
	}
	least := math.Inf(1)
	for i, a := range f.Polygon {
		least = min(least, p.distanceToSide(a, f.Polygon[(i+1)%len(f.Polygon)]))
	}
	return least
}

// distanceToSide gives the meters to the line between two places.
func (p Place) distanceToSide(a, b Place) float64 {
	shrunk := math.Cos(radians(p.Latitude)) // of a degree of longitude
	ax, ay := eastOf(p.Longitude, a.Longitude)*shrunk, a.Latitude-p.Latitude
	bx, by := ax+eastOf(a.Longitude, b.Longitude)*shrunk, b.Latitude-p.Latitude
	dx, dy := bx-ax, by-ay
	along := 0.0 // of the way from a to b
	if length := dx*dx + dy*dy; length > 0 {
		along = max(0, min(1, -(ax*dx+ay*dy)/length))
	}
	return radians(math.Hypot(ax+along*dx, ay+along*dy)) * earthRadius
}

// Contains reports whether a place is inside of the fence. Places on the edge
// of a circle are; of those on the edge of a polygon either may be said.
func (f Fence) Contains(p Place) bool {
	if len(f.Polygon) == 0 {
		return f.Center.Distance(p) <= f.Radius
	}
	// From p along its meridian to the north pole, each side that is crossed leads
	// from the inside to the outside or back.
	inside := f.holdsNorthPole()
	for i, a := range f.Polygon {
		b := f.Polygon[(i+1)%len(f.Polygon)]
		from := eastOf(p.Longitude, a.Longitude)
		to := from + eastOf(a.Longitude, b.Longitude)
		if crossed, at := meridian(from, to, a.Latitude, b.Latitude); crossed && at > p.Latitude {
			inside = !inside
		}
	}
	return inside
}

// meridian reports whether a side that leads from one longitude to another,
// counted from a meridian in degrees, crosses it, and at which latitude. A side
// that begins on the meridian does, one that ends there does not, so that a
// corner on it counts once.
func meridian(from, to, latitudeFrom, latitudeTo float64) (crossed bool, at float64) {
	for _, turn := range []float64{0, -360, 360} { // the short way may lead over the other side
		if from, to := from+turn, to+turn; (from < 0) != (to < 0) {
			return true, latitudeFrom + (latitudeTo-latitudeFrom)*from/(from-to)
		}
	}
	return false, 0
}

// holdsNorthPole reports whether the polygon goes around the poles and has its
// corners in the north on average.
func (f Fence) holdsNorthPole() bool {
	turned, north := 0.0, 0.0
	for i, a := range f.Polygon {
		turned += eastOf(a.Longitude, f.Polygon[(i+1)%len(f.Polygon)].Longitude)
		north += a.Latitude
	}
	return math.Abs(turned) > 180 && north > 0
}

// eastOf gives how far to lies east of from, in degrees from -180 up to 180.
func eastOf(from, to float64) float64 {
	d := math.Mod(to-from, 360)
	switch {
	case d < -180:
		return d + 360
	case d >= 180:
		return d - 360
	default:
		return d
	}
}
