# What the container runs: grade the folder IN with a copy of CLONE, which may be read
# only, and keep in OUT what comes of it; the next grading goes on from there.
set -eu
clone=$1 in=$2 out=$3
results="gradebook.db grades.csv autograded feedback"

copy=$(mktemp -d)
cp -Rp "$clone/." "$copy"
for name in $results; do
    if [ -e "$out/$name" ]; then cp -R "$out/$name" "$copy/course"; fi
done
graded=0
make --directory "$copy" grade SUBMISSIONS="$in" || graded=$?
for name in $results; do
    if [ -e "$copy/course/$name" ]; then
        rm -rf "${out:?}/$name"
        cp -R "$copy/course/$name" "$out"
    fi
done
exit "$graded"
