package workflows

import (
	"strconv"
	"strings"

	"github.com/deviceops/deviceops"
)

// effectID names one effect of a workflow: the command or child run that the
// given owner (a run, the provisioning of a device) makes at a place. It is the
// same however often the workflow is executed again, and no other owner or place
// gives it. Ids that would be too long, or hold what an id may not, are cut and
// end with a hash of the whole.
func effectID(owner, place string, round int) string {
	whole := owner + "." + place + "." + strconv.Itoa(round)
	id := owner + "." + plainPath(place) + "." + strconv.Itoa(round)
	if deviceops.ValidID(id) {
		return id
	}
	hash := deviceops.ShortHash(16, whole)
	clean := strings.Map(idRune, id)
	return clean[:min(len(clean), deviceops.MaxIDLength-len(hash)-1)] + "." + hash
}

// plainPath writes steps[2].try[0] as steps.2.try.0.
func plainPath(path string) string {
	return strings.NewReplacer("[", ".", "]", "").Replace(path)
}

func idRune(r rune) rune {
	if r < 128 && deviceops.ValidID(string(r)) {
		return r
	}
	return '-'
}

// parseRef reads name or name@version; version 0 is the newest. EINVALID.
func parseRef(ref string) (name string, version int, err error) {
	name, number, pinned := strings.Cut(ref, "@")
	if !pinned || number == "latest" {
		return name, 0, nil
	}
	version, err = strconv.Atoi(number)
	if err != nil || version < 1 {
		return name, 0, deviceops.Errorf(deviceops.EINVALID, "%q names no version of a workflow: write name@3 or name", ref)
	}
	return name, version, nil
}
