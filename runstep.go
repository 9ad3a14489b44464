package deviceops

import "strings"

// DecidedBy gives the people who decided the approval of a step, in the order in
// which they did; "" where nobody has, or there is nothing to decide.
func (s RunStep) DecidedBy() string {
	if s.Verb != "approve" {
		return ""
	}
	said, _ := s.Output.(map[string]any)
	if s.Error != nil {
		said = s.Error.Data
	}
	votes, _ := said["votes"].([]any)
	var people []string
	for _, v := range votes {
		vote, _ := v.(map[string]any)
		if by, ok := vote["by"].(string); ok {
			people = append(people, by)
		}
	}
	if len(people) == 0 {
		by, _ := said["by"].(string)
		return by
	}
	return strings.Join(people, ", ")
}
