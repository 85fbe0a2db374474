#!/usr/bin/perl
#
# The soak test: one nginx with everything on, clients of every kind, providers
# that fail, operators, reloads, killed workers and restarts, all at random, and
# what must be true however they meet (Soak::Judge).  Ends with status 1 when
# something was not.
#
#   make soak MINUTES=5 SEED=1 CALM=60
#
# The seed gives the same choices again, not the same moments.  Everything that
# was done stands in build/soak/SEED/journal with its time.  The last part of a run
# (CALM seconds) has no reload, no kill and no restart: memory is compared there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin", "$FindBin::Bin/../lib";

use Digest::SHA ();
use File::Path qw(make_path);

use Test::LLM ();
use Soak::Judge;
use Soak::World;

use constant OPEN => 20;                # requests at a time
use constant SHOWN => 30;               # violations that are printed

my $minutes = $ENV{MINUTES} || 5;
my $seed = $ENV{SEED} || 1 + int rand 1e6;
my $slow = $ENV{LLM_TEST_SLOW} || 1;
my $sane = ($ENV{LLM_NGINX} // '') =~ /asan/ || $ENV{LLM_VALGRIND};
my $patience = 2 * Soak::World::DEADLINE * $slow;
my $chat = 'chat/completions';

srand $seed;
$| = 1;
print "soak: SEED=$seed MINUTES=$minutes\n";

my $out = "$FindBin::Bin/../../build/soak/$seed";
make_path($out);
open my $journal, '>', "$out/journal" or die "$out/journal: $!";
$journal->autoflush;

my $up = Soak::World->provider($seed);
my $gw = Test::LLM::Gateway->new(
    vars => { UP => $up->port }, workers => 3, level => 'notice',
    main => "worker_shutdown_timeout 30s; working_directory %%DIR%%; worker_rlimit_core 500m;",
    env => { map { ("SOAK_KEY_$_" => "sk-soak-secret-$_") } 1 .. 5 },
    files => { 'mood.json' => $Soak::World::SCHEMA },
    conf => Soak::World::conf(0));
my @expected = (qr/exited on signal 9/, qr/no_such_directive/);
$gw->expect_log(@expected);

my $begin = Test::LLM::now();
my $end = $begin + 60 * $minutes;
my $calm = $end - ($ENV{CALM} // ($minutes > 2 ? 60 : 20 * $minutes));

my (@open, @ids, @files, %done, %seen, %kills, $violations);
my ($turn, $version, $doc) = (0, {}, {});
my ($page, $metrics_open, $log_at, %pages, %memory);
my ($excused, $lives) = (0, 0);


# ---- what is told -------------------------------------------------------------

sub note {
    my ($text) = @_;
    printf $journal "%9.3f %s\n", Test::LLM::now() - $begin, $text;
}

sub wrong {
    my ($text) = @_;
    note("WRONG $text");
    $violations++;
    printf "%9.3f WRONG %s\n", Test::LLM::now() - $begin, $text
        if $violations <= SHOWN;
}

sub did { my ($what) = @_; $done{$what}++; note($what); }


# ---- requests -------------------------------------------------------------------

# starts one; $judge gets the client when it ended and tells what is wrong
sub ask {
    my ($kind, $judge, $method, $path, $headers, $body, %o) = @_;
    my $c = $gw->request($method, $path, $headers, $body, %o);
    push @open, { kind => $kind, judge => $judge, c => $c, what => "$method $path" };
    return $c;
}

sub change {
    my ($what, $method, $path, $body, @allowed) = @_;
    did($what);
    my %headers = ('Content-Type' => 'application/json', 'X-Llm-Actor' => 'soak');
    my ($name) = $path =~ m{^splits/(\w+)};
    my $least = $name ? $version->{$name} || 0 : 0;
    ask('change', sub {
        my ($c) = @_;
        my $wrong = Soak::Judge::change($c, @allowed);
        return $wrong || ($name && $c->json->{weights} ? seen($name, $c->json, $least) : ());
    },
        $method, "/admin/$path", \%headers, Test::LLM::to_json($body));
}

# a document of a split, when $least was the newest version that was known
sub seen {
    my ($name, $doc, $least) = @_;
    my $wrong = Soak::Judge::split_doc($doc, $least, @{ $Soak::World::SPLITS{$name} });
    return "$name: $wrong" if $wrong;
    $version->{$name} = $doc->{version} if $doc->{version} > ($version->{$name} || 0);
    $seen{"state $doc->{state}"}++;
    return;
}

sub one_of { $_[rand @_] }
sub user { return ('X-User' => 'u' . int rand 400) }


my @clients = (
    [ 30, sub { llm('chat', '/s/v1/' . $chat, messages(one_of('a', 'long ' x 3000))) } ],
    [ 25, sub { llm('stream', '/s/v1/' . $chat, messages('b', stream => JSON::PP::true())) } ],
    [ 10, sub { llm('mood', '/mood', { text => 'How are you?' }) } ],
    [ 10, sub { llm('flip', '/flip/v1/' . $chat, messages('c', rand() < 0.3 ? (stream => JSON::PP::true()) : ())) } ],
    [ 6, sub { llm('mixed', '/mixed', { text => 'Hello.' }) } ],
    [ 6, sub { llm('named', '/v1/' . $chat, { %{ messages('d') }, model => one_of(@Soak::World::MODELS, 's') }) } ],
    [ 10, \&application ],
    [ 5, \&upload ],
    [ 3, \&object ],
    [ 6, \&feedback ],
    [ 4, \&leave ],
    [ 2, sub { ask('health', sub { $_[0]->complete && $_[0]->json ? () : 'no health' }, GET => '/health') } ],
);

sub messages {
    my ($text, %more) = @_;
    return { model => 'any', messages => [ { role => 'user', content => $text } ], %more };
}

sub llm {
    my ($kind, $path, $body, %o) = @_;
    my %headers = (user(), 'Content-Type' => 'application/json',
        rand() < 0.05 ? ('X-Variant' => one_of(@{ $Soak::World::SPLITS{s} })) : ());
    ask($kind, sub {
        my ($c) = @_;
        my $variant = $c->header('x-llm-variant') // '';
        return if $variant eq 'legacy' && Soak::Judge::is_failure($c);
        my $id = $c->header('x-llm-request-id');
        push @ids, $id if $c->status == 200 && $id && $path =~ m{^/(?:s/|mood)};
        shift @ids if @ids > 200;
        return Soak::Judge::answer($c);
    }, POST => $path, \%headers, Test::LLM::to_json($body), %o);
}

sub application {
    my $body = join '', map { chr int rand 256 } 1 .. int rand 3000;
    my %o = rand() < 0.3 ? (chunked => 1) : ();
    ask('app', sub { Soak::Judge::application($_[0], $body) },
        one_of('POST', 'PUT', 'PATCH'), '/app/x' . int rand 10, { user() }, $body, %o);
}

sub upload {
    my $sound = 'x' x (rand() < 0.2 ? 2_000_000 : 30_000);
    my $form = join "\r\n", '--soak', 'Content-Disposition: form-data; name="file"; filename="a.wav"',
        'Content-Type: audio/wav', '', $sound, '--soak--', '';
    ask('hear', \&Soak::Judge::answer, POST => '/hear',
        { user(), 'Content-Type' => 'multipart/form-data; boundary=soak' }, $form);
}

# a file that a provider holds: made, and asked for again
sub object {
    if (@files && rand() < 0.6) {
        ask('object', \&Soak::Judge::answer, GET => '/s/v1/files/' . one_of(@files));
        return;
    }
    my $form = join "\r\n", '--soak', 'Content-Disposition: form-data; name="purpose"', '', 'batch',
        '--soak', 'Content-Disposition: form-data; name="file"; filename="a.jsonl"', '', '{}', '--soak--', '';
    ask('object', sub {
        my ($c) = @_;
        my $file = $c->status == 200 && $c->json ? $c->json->{id} : undef;
        push @files, $file if $file;
        shift @files if @files > 50;
        return Soak::Judge::answer($c);
    }, POST => '/s/v1/files', { user(), 'Content-Type' => 'multipart/form-data; boundary=soak' }, $form);
}

sub feedback {
    my $id = @ids ? one_of(@ids) : 'f' x 32;
    ask('feedback', sub { Soak::Judge::change($_[0], 404) }, POST => '/feedback',
        { 'Content-Type' => 'application/json' },
        Test::LLM::to_json({ request_id => $id, score => one_of('up', 'down') }));
}

# a client that goes away
sub leave {
    my $path = one_of("/s/v1/$chat", "/flip/v1/$chat", '/mood');
    my $body = $path eq '/mood' ? { text => 'x' } : messages('e', stream => JSON::PP::true());
    llm('leave', $path, $body);
    $open[-1]{leave} = Test::LLM::now() + rand 0.15;
    $open[-1]{judge} = sub { return };
}


# ---- operators ---------------------------------------------------------------------

my @operators = (
    [ 10, \&weights ],
    [ 12, \&verb ],
    [ 6, \&toggle ],
    [ 12, \&look ],
    [ 6, \&scrape ],
    [ 3, \&trail ],
    [ 2, \&weather ],
    [ 2, sub { did('disturb'); change('race', POST => 'splits/s/' . one_of(qw(promote abort start)), {}, 409) } ],
);
my @rough = ([ 3, \&reload ], [ 2, \&murder ], [ 1, \&failed_reload ], [ 1, \&restart ]);


sub weights {
    my $name = one_of(keys %Soak::World::SPLITS);
    my @variants = @{ $Soak::World::SPLITS{$name} };
    my ($left, %w) = (10000);
    for my $v (@variants[0 .. $#variants - 1]) {
        $w{$v} = int rand $left + 1;
        $left -= $w{$v};
    }
    $w{ $variants[-1] } = $left;
    $_ /= 100 for values %w;
    change('weights', PUT => "splits/$name", { weights => \%w,
        version => rand() < 0.9 ? $version->{$name} || 1 : 1,
        rand() < 0.5 ? (force => JSON::PP::true()) : () }, 409, 412);
}

sub verb {
    my $name = one_of('s', 's', 'flip', 'app');
    my $verb = one_of(qw(start start start pause resume promote promote abort swap));
    my %body = ($verb eq 'start' ? (force => JSON::PP::true()) : (),
                $verb eq 'promote' && rand() < 0.3 ? (full => JSON::PP::true()) : (),
                rand() < 0.2 ? (reason => 'soak "quoted" ' x 3) : ());
    $body{variant} = one_of(@{ $Soak::World::SPLITS{$name} })
        if $verb =~ /abort|swap/ && rand() < 0.3;
    change("$verb", POST => "splits/$name/$verb", \%body, 409);
}

sub toggle {
    my $on = rand() < 0.85 ? JSON::PP::true() : JSON::PP::false();
    my $path = one_of('providers/' . one_of(@Soak::World::PROVIDERS),
        'models/' . one_of(@Soak::World::MODELS), map { 'keys/' . one_of(@Soak::World::KEYS) } 1, 2);
    change('switch', PUT => $path, { enabled => $on }, $path =~ /kc/ ? 404 : ());
}

sub look {
    my $name = one_of(keys %Soak::World::SPLITS);
    my $least = $version->{$name} || 0;
    did('look');
    ask('look', sub {
        my ($c) = @_;
        return 'status ' . $c->status . ': ' . ($c->error // '') . $c->head if $c->status != 200 || !$c->complete;
        return seen($name, $c->json, $least);
    }, GET => "/admin/splits/$name");
    ask('look', \&Soak::Judge::change, GET => '/admin/' . one_of(qw(splits keys providers models experiments experiments/mix experiments/shop)))
        if rand() < 0.5;
}

# one at a time: pages must come in order to be compared
sub scrape {
    return if $metrics_open;
    $metrics_open = 1;
    did('scrape');
    my $life = $lives;
    ask('metrics', sub {
        my ($c) = @_;
        $metrics_open = 0;
        return 'no metrics: ' . ($c->error // $c->status) unless $c->status == 200 && $c->complete;
        my ($is, @odd) = Soak::Judge::metrics($c->body);
        push @odd, Soak::Judge::backwards($page->{is}, $is) if $page && $page->{life} == $life;
        push @odd, Soak::Judge::page_weights($is);
        $page = { is => $is, life => $life };
        return @odd;
    }, GET => '/metrics');
}

sub trail {
    did('trail');
    ask('audit', sub {
        my ($c) = @_;
        return 'no audit: ' . ($c->error // $c->status) unless $c->status == 200 && ref $c->json eq 'HASH';
        my @seq = sort { $a <=> $b } map { $_->{seq} } @{ $c->json->{entries} };
        return map { "entries $seq[$_ - 1] and $seq[$_]" } grep { $seq[$_] != $seq[$_ - 1] + 1 } 1 .. $#seq;
    }, GET => '/admin/audit');
    wrong("audit.jsonl: $_") for chain();
}

sub chain {
    open my $fh, '<', $gw->dir . '/state/audit.jsonl' or return;
    my @lines = <$fh>;
    pop @lines if @lines && $lines[-1] !~ /\n\z/;       # it is being written
    chomp @lines;
    return Soak::Judge::chain(grep { /,"hash":"[0-9a-f]{64}"\}$/ } @lines);
}

# providers become worse, or well again
sub weather {
    my $ill = one_of(0, 0, 5, 10, 30, 80);
    did('weather');
    note("  $ill of a hundred answers are wrong");
    $up->call('ill', $ill);
}


# ---- rough events -------------------------------------------------------------------

sub reload {
    return if $gw->workers(1) > 12;             # many drain yet
    $turn++ if rand() < 0.7;
    did('reload');
    note("  configuration $turn");
    $gw->write_conf(Soak::World::conf($turn));
    $gw->signal('HUP');
    # the next change must not meet a configuration that is half read
    my $workers = join ' ', $gw->workers;
    Test::LLM::wait_for(sub { (join ' ', $gw->workers) ne $workers }, 15)
        or wrong('a reload without new workers');
}

sub failed_reload {
    did('failed reload');
    my $count = () = $gw->log =~ /no_such_directive/g;
    $gw->write_conf(Soak::World::conf($turn) =~ s/llm_split s \{/$& no_such_directive x;/r);
    $gw->signal('HUP');
    Test::LLM::wait_for(sub { (() = $gw->log =~ /no_such_directive/g) > $count }, 15)
        or wrong('a wrong configuration was not refused');
    $gw->write_conf(Soak::World::conf($turn));
}

sub murder {
    my @workers = $gw->workers or return;
    my $pid = one_of(@workers);
    did('kill');
    note("  worker $pid");
    $kills{ Test::LLM::now() } = 1;
    kill 'KILL', $pid;
    Test::LLM::wait_for(sub { my @now = $gw->workers; @now >= 3 && !grep { $_ == $pid } @now }, 10)
        or wrong('a killed worker was not replaced');
}

# State is kept: versions go on, and the weights that nobody but the operators
# moves are as they were.  A gentle one loses no request.
sub restart {
    my $gently = rand() < 0.5;
    did($gently ? 'quit and start' : 'stop and start');
    settle(0.5);                        # nobody is left who was not accepted
    my $moving = grep { $_->{kind} eq 'change' } @open;
    my $was = $gw->get('/admin/splits/mixed')->json;

    $lives++;
    if ($gently) {
        $gw->signal('QUIT');
        drain();
        $gw->quit(20) or wrong($gw->{stuck});
    } else {
        # nginx before 1.23 names what a worker that drains has open by then
        my %fresh = map { $_ => 1 } $gw->workers;
        push @expected, map { qr/\[alert\] $_#\d+: (?:\*\d+ open socket #|aborting)/ }
            grep { !$fresh{$_} } $gw->workers(1);
        $gw->expect_log(@expected);
        $kills{ Test::LLM::now() } = 1;
        $gw->stop(20) or wrong($gw->{stuck});
    }
    $gw->start;

    my $is = $gw->get('/admin/splits/mixed')->json;
    my ($then, $now) = map { Test::LLM::to_json([ $_->{version}, $_->{weights} ]) } $was, $is;
    wrong("a restart made $now of $then") if $then ne $now && !$moving;
}


# ---- memory ---------------------------------------------------------------------------

sub _hex { unpack 'Q>', pack 'H16', substr "0" x 16 . $_[0], -16 }

# free pages of the zone's slab pool: pfree of ngx_slab_pool_t
sub free_pages {
    my ($pid) = $gw->workers or return;
    open my $maps, '<', "/proc/$pid/maps" or return;
    my ($at) = map { /^([0-9a-f]+)-([0-9a-f]+) rw-s/ && _hex($2) - _hex($1) == Soak::World::ZONE ? _hex($1) : () } <$maps>;
    return unless defined $at;
    open my $mem, '<:raw', "/proc/$pid/mem" or return;
    sysseek $mem, $at + 80, 0 or return;
    (sysread($mem, my $word, 8) // 0) == 8 or return;
    return unpack 'Q', $word;
}

sub anonymous {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/status" or return;
    my ($kb) = map { /^RssAnon:\s+(\d+)/ ? $1 : () } <$fh>;
    return $kb;
}

sub measure {
    my ($when) = @_;
    my $free = free_pages();
    note("$when: " . ($free // 'unknown') . ' free pages');
    $pages{$when} = $free if defined $free;
    for my $pid ($gw->pid, $gw->workers) {
        $memory{$when}{$pid} = anonymous($pid);
        note("$when: process $pid has $memory{$when}{$pid} kB");
    }
}

sub compare_memory {
    measure('end');
    my ($was, $is) = @memory{qw(calm end)};
    for my $pid (sort keys %{ $was || {} }) {
        next if !defined $is->{$pid} || $sane;
        wrong("process $pid grew from $was->{$pid} to $is->{$pid} kB")
            if $is->{$pid} > 1.3 * $was->{$pid} + 4096;
    }
    printf "memory in kB: %s; free pages: %s\n",
        join(', ', map { ($was->{$_} // '?') . " -> $is->{$_}" } sort keys %$is),
        join(' -> ', map { $pages{$_} // '?' } qw(warm calm end));
    # the audit trail, votes and objects may still fill up to their bounds
    wrong("the zone lost pages: $pages{calm} -> $pages{end}")
        if defined $pages{calm} && defined $pages{end} && $pages{end} < $pages{calm} - 64;
}


# ---- the loop ---------------------------------------------------------------------------

sub pick {
    my (@from) = @_;
    my $all = 0;
    $all += $_->[0] for @from;
    my $at = rand $all;
    for (@from) { return $_->[1]->() if ($at -= $_->[0]) < 0 }
}

# a connection that broke when a worker was killed, or nginx ended
sub is_excused {
    my ($c) = @_;
    return 0 unless ($c->error // '') =~ /^(?:reset|closed|connect|read)/ && !$c->complete;
    return grep { $c->{t0} <= $_ && $_ <= $c->{t_end} } keys %kills;
}

sub ended {
    my ($r) = @_;
    my $c = $r->{c};
    my @wrong = $r->{judge}->($c);

    $c->{t_end} //= Test::LLM::now();
    $seen{"$r->{kind} " . ($c->status || $c->error || 'nothing')}++;
    return unless @wrong;
    if (is_excused($c)) {
        $excused++;
        return;
    }
    wrong(sprintf '%s %s (%s, %.3f s, began at %.3f): %s', $r->{kind}, $r->{what},
        $c->status, $c->{t_end} - $c->{t0}, $c->{t0} - $begin, $_) for @wrong;
}

# lets the requests go on for so long, or until one ended
sub settle {
    my ($seconds, $one) = @_;
    my $stop = Test::LLM::now() + $seconds;
    my @c = map { $_->{c} } @open;

    Test::LLM::Client::run(60, @c, sub {
        my $now = Test::LLM::now();
        for my $r (grep { !$_->{c}{done} } @open) {
            $r->{c}->abort(one_of('', 'hard')) if $r->{leave} && $now > $r->{leave};
            if ($now - $r->{c}{t0} > $patience) {
                $r->{c}{error} = 'timeout';
                $r->{c}{done} = 1;
            }
        }
        return $now > $stop || ($one && grep { $_->{done} } @c);
    }) if @c;

    my @done = grep { $_->{c}{done} } @open;
    @open = grep { !$_->{c}{done} } @open;
    ended($_) for @done;
}

sub drain { settle(0.2) while @open }

# lines of the error log that none may cause
sub watch_log {
    open my $fh, '<', $gw->dir . '/error.log' or return;
    seek $fh, $log_at || 0, 0;
    while (my $line = <$fh>) {
        last unless $line =~ /\n\z/;
        $log_at = tell $fh;
        chomp $line;
        next if grep { $line =~ $_ } @expected;
        wrong("log: $line") if $line =~ /\[(?:alert|crit|emerg)\]|open socket #|Sanitizer|exited on signal|exited with code [1-9]/;
    }
}

sub run {
    my ($next, $rough, $check, $measured) = ($begin, $begin + 3, $begin, '');

    while ((my $now = Test::LLM::now()) < $end && ($violations || 0) < 1000) {
        pick(@clients) while @open < OPEN;
        if ($now > $next) {
            pick(@operators);
            $next = $now + rand 0.2;
        }
        if ($now > $rough && $now < $calm) {
            pick(@rough);
            $rough = Test::LLM::now() + (1 + rand 5) * $slow;
        }
        if ($now > $check) {
            watch_log();
            note('free pages: ' . (free_pages() // 'unknown'));
            $check = $now + 2;
        }
        if ($now > $calm && !$measured) {
            measure('warm');
            $measured = 'warm';
        }
        if ($measured eq 'warm' && $now > ($calm + $end) / 2) {
            measure('calm');
            $measured = 'calm';
        }
        settle(0.05, 1);
    }
}

$gw->start;
run();
drain();
compare_memory();
wrong("audit.jsonl: $_") for chain();
watch_log();
my @problems = $gw->problems;
wrong("at the end: $_") for @problems;
wrong("a core: $_") for glob $gw->dir . '/core*';

system 'cp', '-r', $gw->dir . '/error.log', $gw->dir . '/soak.log', glob($gw->dir . '/state'), $out;
my $sum = sub { my ($h) = @_; join ', ', map { "$_: $h->{$_}" } sort keys %$h };
print 'did: ', $sum->(\%done), "\nsaw: ", $sum->(\%seen), "\n";
printf "soak: SEED=%d, %.0f s, %d connections broken by a kill, %d violations\n",
    $seed, Test::LLM::now() - $begin, $excused, $violations || 0;
exit($violations ? 1 : 0);
