package dsl

import "github.com/deviceops/deviceops"

// maxCorners bounds the corners of a polygon.
const maxCorners = 1000

// inCircle reports whether a place lies within so many meters of another.
func inCircle(args ...any) (any, error) {
	var n [5]float64
	for i, arg := range args {
		v, err := degreesArg("inCircle", arg)
		if err != nil {
			return nil, err
		}
		n[i] = v
	}
	place, center := deviceops.Place{Latitude: n[0], Longitude: n[1]}, deviceops.Place{Latitude: n[2], Longitude: n[3]}
	if !place.Valid() || !center.Valid() || n[4] < 0 {
		return nil, invalid("inCircle needs latitude, longitude, those of the center, and a radius in meters, and got %v", n)
	}
	return deviceops.Fence{Center: center, Radius: n[4]}.Contains(place), nil
}

// inPolygon reports whether a place lies in a polygon [[latitude, longitude], ...].
func inPolygon(args ...any) (any, error) {
	place, err := placeOf(args[0], args[1])
	if err != nil {
		return nil, err
	}
	corners, err := listArg("inPolygon", args[2])
	if err != nil {
		return nil, err
	}
	if len(corners) < 3 || len(corners) > maxCorners {
		return nil, invalid("inPolygon needs 3 to %d corners and got %d", maxCorners, len(corners))
	}
	fence := deviceops.Fence{Polygon: make([]deviceops.Place, len(corners))}
	for i, corner := range corners {
		pair, err := listArg("inPolygon", corner)
		if err != nil || len(pair) != 2 {
			return nil, invalid("inPolygon needs corners [latitude, longitude]")
		}
		if fence.Polygon[i], err = placeOf(pair[0], pair[1]); err != nil {
			return nil, err
		}
	}
	return fence.Contains(place), nil
}

func placeOf(latitude, longitude any) (p deviceops.Place, err error) {
	if p.Latitude, err = degreesArg("inPolygon", latitude); err != nil {
		return p, err
	}
	if p.Longitude, err = degreesArg("inPolygon", longitude); err != nil {
		return p, err
	}
	if !p.Valid() {
		return p, invalid("inPolygon needs latitudes from -90 to 90 and longitudes from -180 to 180, and got %g, %g", p.Latitude, p.Longitude)
	}
	return p, nil
}

// degreesArg gives a number. One that is missing makes a condition unknown: a
// device of which no place is known is neither inside nor outside.
func degreesArg(name string, arg any) (float64, error) {
	if arg == nil {
		return 0, errMissing
	}
	n, ok := toFloat(Canonical(arg))
	if !ok {
		return 0, invalid("%s needs numbers and got %s", name, describe(Canonical(arg)))
	}
	return n, nil
}
