#!/bin/sh
# Fill an exchange with the released chapters, as if TEACHER had released them, and give
# TEACHER a copy of the course. As root, at the top of a clone with course/release in it.
set -eu
teacher=$1 exchange=$2 home=$3
course=$exchange/beyond-the-black-box

mkdir -p "$course/inbound" "$course/feedback"
cp -R course/release "$course/outbound"
chown -R "$teacher:$teacher" "$course"
chmod 1777 "$exchange"
chmod -R u=rwX,go=rX "$course"
chmod 2733 "$course/inbound"
chmod 711 "$course/feedback"

mkdir -p "$home/beyond-the-black-box/course" /home/member
for name in nbgrader_config.py syllabus.yml source release; do
    cp -R "course/$name" "$home/beyond-the-black-box/course"
done
chown -R "$teacher:$teacher" "$home"
chmod 700 "$home"
chmod 1777 /home/member
