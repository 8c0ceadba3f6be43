package replay

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

var errTime = errors.New("the time is not one of a log")

// The years that a log can be of. They keep nanoseconds within 64 bits.
const (
	firstYear = 1970
	lastYear  = 2200
)

// stamp reads a time in any of the forms that logs have, in nanoseconds since
// 1970. Those without a zone are of this machine's.
func stamp(s string) (int64, error) {
	switch {
	case len(s) == len("17/May/2015:10:05:03 +0000") && s[2] == '/':
		return stampCommon(s)
	case len(s) == len("17/May/2015 10:05:03") && s[2] == '/':
		return stampWerkzeug(s)
	case s == "":
		return 0, errTime
	case strings.Trim(s, "0123456789.") == "":
		return stampUnix(s)
	}
	return stampISO(s)
}

// stampCommon reads 17/May/2015:10:05:03 +0000 (Apache's %t).
func stampCommon(s string) (int64, error) {
	day, clock, ok := stampParts(s[:20])
	zone, sign := digits(s[22:26]), s[21]
	if !ok || s[11] != ':' || s[20] != ' ' || zone < 0 || sign != '+' && sign != '-' {
		return 0, errTime
	}
	offset := zone/100*3600 + zone%100*60
	if sign == '-' {
		offset = -offset
	}
	return (day*86400 + clock - int64(offset)) * int64(time.Second), nil
}

// stampWerkzeug reads 17/May/2015 10:05:03, which is local time.
func stampWerkzeug(s string) (int64, error) {
	day, clock, ok := stampParts(s)
	if !ok || s[11] != ' ' {
		return 0, errTime
	}
	utc := time.Unix(day*86400+clock, 0).UTC()
	local := time.Date(utc.Year(), utc.Month(), utc.Day(), utc.Hour(), utc.Minute(), utc.Second(), 0, time.Local)
	return local.UnixNano(), nil
}

// stampParts reads the days since 1970 and the seconds of the day.
func stampParts(s string) (day, clock int64, ok bool) {
	d, y := digits(s[0:2]), digits(s[7:11])
	h, m, sec := digits(s[12:14]), digits(s[15:17]), digits(s[18:20])
	month := monthOf(s[3:6])
	if d < 1 || d > 31 || month == 0 || y < firstYear || y > lastYear || h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 60 ||
		s[2] != '/' || s[6] != '/' || s[14] != ':' || s[17] != ':' {
		return 0, 0, false
	}
	return daysSince1970(y, month, d), int64(h*3600 + m*60 + sec), true
}

const monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"

// monthOf returns 1 to 12, 0 where s is no month.
func monthOf(s string) int {
	i := strings.Index(monthNames, s)
	if i < 0 || i%3 != 0 {
		return 0
	}
	return i/3 + 1
}

// digits reads a decimal number, -1 where s is none.
func digits(s string) int {
	n := 0
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return -1
		}
		n = n*10 + int(c)
	}
	return n
}

// daysSince1970 counts in the Gregorian calendar (Howard Hinnant's
// days_from_civil, for years after 0).
func daysSince1970(y, m, d int) int64 {
	if m <= 2 {
		y--
	}
	era := y / 400
	ofEra := y - era*400
	ofYear := (153*((m+9)%12)+2)/5 + d - 1
	return int64(era*146097+ofEra*365+ofEra/4-ofEra/100+ofYear) - 719468
}

// milliseconds is from where on a number can't be seconds of a year in range.
const milliseconds = 1e11

// stampUnix reads seconds, or milliseconds, since 1970.
func stampUnix(s string) (int64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, errTime
	}
	if n >= milliseconds {
		n /= 1000
	}
	whole := int64(n)
	if n < 0 || time.Unix(whole, 0).UTC().Year() > lastYear {
		return 0, errTime
	}
	// Logs have microseconds at most; a float64 no more anyway.
	micros := int64((n-float64(whole))*1e6 + 0.5)
	return whole*int64(time.Second) + micros*int64(time.Microsecond), nil
}

// isoLayouts are the other forms, with fractions of a second or without.
var isoLayouts = []string{
	time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 -0700",
	"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006/01/02 15:04:05",
}

func stampISO(s string) (int64, error) {
	if len(s) < len("2006-01-02 15:04:05") || len(s) > 40 {
		return 0, errTime
	}
	for _, layout := range isoLayouts {
		t, err := time.ParseInLocation(layout, s, time.Local)
		if err == nil && t.Year() >= firstYear && t.Year() <= lastYear {
			return t.UnixNano(), nil
		}
	}
	return 0, errTime
}
