# What is known about traffic outlives what it was learned with: a reload, a
# changed block, a configuration that fails, a restart, a broken state file.

use lib 't/lib';
use Test::LLM;

use Digest::SHA qw(sha256_hex);

my @json = ('Content-Type' => 'application/json');
my $dir = File::Temp::tempdir(CLEANUP => 1);
my $n = 0;
my $gw;

# A gateway of its own for each part, with a state of its own.
sub gateway {
    my (%o) = @_;
    $n++;
    $gw = Test::LLM::Gateway->new(conf => conf(%o), env => { KEY_A => 'sk-aaaa-0001', KEY_B => 'sk-bbbb-0002' });
    return $gw->start;
}

sub conf {
    my (%o) = @_;
    my $split = $o{split} // 'variant blue a 90%; variant green b 10%; rollout green steps=20%,50%,100%; rollback error_rate>5%;';
    my $zone = $o{zone} // '10m';
    return <<"EOC";
    llm_zone t:$zone;
    llm_state $dir/$n;
    llm_key_pool k { key env:KEY_A name=first; key env:KEY_B name=second; }
    llm_provider a { dialect mock; ${\($o{a} // '')} }
    llm_provider b { dialect mock; }
    llm_provider c { dialect mock; }
    llm_provider keyed { dialect openai; base_url http://127.0.0.1:9/v1; keys k; }
    llm_split s { sticky \$http_x_user; $split }
    server {
        listen 127.0.0.1:%%PORT%%; ${\($o{server} // '')}
        location /v1/ { llm_pass s; }
        location /admin/ { llm_admin; }
    }
EOC
}

sub admin { my ($method, $path, $body) = @_; return $gw->http($method => "/admin/$path", { @json }, $body && to_json($body)) }
sub doc   { return $gw->get('/admin/splits/s')->json }
sub variant { my ($name) = @_; return (grep { $_->{name} eq $name } @{ doc()->{variants} })[0] }
sub weights { my $w = doc()->{weights}; return join ' ', map { "$_=$w->{$_}" } sort keys %$w }

sub set {
    my (%w) = @_;
    my $r = admin(PUT => 'splits/s', { version => doc()->{version}, weights => \%w });
    is($r->status, 200, 'weights are set') or diag $r->body;
}

sub verb {
    my ($verb, $more) = @_;
    my $r = admin(POST => "splits/s/$verb", $more || {});
    is($r->status, 200, $verb) or diag $r->body;
}

# Where forty users are.
sub users {
    return map { chat($gw, 'm', headers => { 'X-User' => "user $_" })->header('x-llm-variant') // '?' } 1 .. 40;
}

sub enabled { my ($what, $name) = @_; return (grep { $_->{name} eq $name } @{ $gw->get("/admin/$what")->json->{$what} })[0]{enabled} ? 1 : 0 }

sub slurp { my ($f) = @_; local $/; open my $fh, '<', "$dir/$n/$f" or return ''; return scalar readline $fh }
sub spew  { my ($f, $text) = @_; open my $fh, '>', "$dir/$n/$f" or die; print $fh $text; close $fh }

# Of the audit trail: every hash is that of its line, every line holds the one before.
sub chain {
    my ($text, $name) = @_;
    my ($prev, $bad, $lines) = ('', 0, 0);
    for my $line (split /\n/, $text) {
        my $e = from_json($line) or next;
        (my $bare = $line) =~ s/,"hash":"[0-9a-f]{64}"\}$/}/;
        $bad++ if sha256_hex($bare) ne $e->{hash} || ($prev && $e->{prev_hash} ne $prev);
        $prev = $e->{hash};
        $lines++;
    }
    is($bad, 0, $name);
    return $lines;
}

sub moved { my ($one, $two) = @_; return scalar grep { $one->[$_] ne $two->[$_] } 0 .. $#$one }


# ---- a reload -------------------------------------------------------------------

gateway();
is(weights(), 'blue=90 green=10', 'the weights of the file');
set(blue => 60, green => 40);
my @before = users();
is(variant('blue')->{totals}{n} + variant('green')->{totals}{n}, 40, 'forty requests');
is((grep { $_ eq 'green' } @before), variant('green')->{n}, '... each in its own variant');
is(admin(PUT => 'providers/c', { enabled => JSON::PP::false })->status, 200, 'a provider is switched off');
is(admin(PUT => 'keys/first', { enabled => JSON::PP::false })->status, 200, '... and a key');

my $version = doc()->{version};
ok($gw->reload, 'a reload');
is(weights(), 'blue=60 green=40', '... keeps the weights');
is(doc()->{version}, $version, '... and the version');
is(variant('blue')->{totals}{n} + variant('green')->{totals}{n}, 40, '... and what was counted');
is(moved(\@before, [ users() ]), 0, '... and every user in his variant');
is(enabled(providers => 'c'), 0, '... the provider stays off');
is(enabled(keys => 'first'), 0, '... and the key');

ok($gw->reload(conf(a => 'latency 1ms;')), 'a reload with something else changed');
is(weights(), 'blue=60 green=40', '... keeps the weights as well');


# ---- a block that has changed -----------------------------------------------------

ok($gw->reload(conf(split => 'variant blue a 70%; variant green b 20%; variant red c 10%;')), 'a changed block');
is(weights(), 'blue=70 green=20 red=10', '... its weights hold');
cmp_ok(doc()->{version}, '>', $version, '... its version goes on');
is(variant('green')->{totals}{n}, 2 * (grep { $_ eq 'green' } @before), '... and variants count where they did');
like($gw->log, qr/llm_split "s" is not what it was: it begins again/, '... the log says so');
my ($entry) = grep { $_->{action} eq 'reset' } @{ $gw->get('/admin/audit')->json->{entries} };
is($entry && $entry->{actor}, 'configuration', '... and the audit trail');
is($entry && $entry->{after}{weights}{red}, 10, '... with the weights');

admin(PUT => 'providers/c', { enabled => JSON::PP::true });
my @now = users();
ok(!(grep { $before[$_] eq 'blue' && $now[$_] eq 'green' } 0 .. 39), 'nobody came to the variant that shrank');

ok($gw->reload(conf(split => 'variant blue a 80%; variant green b 20%;')), 'a variant is taken out');
my @then = users();
ok(!(grep { $now[$_] ne 'red' && $now[$_] ne $then[$_] } 0 .. 39), '... only its users move');
ok(!(grep { $now[$_] eq 'red' && $then[$_] ne 'blue' } 0 .. 39), '... to the variant that grew');

verb('abort', { variant => 'green' });
ok($gw->reload(conf(split => 'variant blue a 80%; variant green b 20%; on_reload reset;')), 'a block to be reset');
is(weights(), 'blue=80 green=20', '... is');
set(blue => 50, green => 50);
ok($gw->reload, '... at every reload');
is(weights(), 'blue=80 green=20', '... of the same file, too');


# ---- a configuration that is read, but never comes into force ------------------------

gateway();
set(blue => 30, green => 70);
@before = users();
my $port = Test::LLM::Gateway::free_port();
my $busy = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1:$port") or die;
ok(!$gw->reload(conf(split => 'variant green b 90%; variant blue a 10%;', server => "listen 127.0.0.1:$port;")), 'a reload fails');
$gw->expect_log(qr/bind\(\) to \S+ failed|still could not bind/);
ok(wait_for(sub { $gw->log =~ /still could not bind/ }, 10), '... nginx gives up');
is(weights(), 'blue=30 green=70', '... the running weights stay');
set(blue => 40, green => 60);
my $counted = variant('green')->{totals}{n};
ok($gw->reload(conf()), 'a reload that works');
is(weights(), 'blue=40 green=60', '... knows them');
is(variant('green')->{totals}{n}, $counted, '... and the counts');


# ---- a restart --------------------------------------------------------------------

gateway();
set(blue => 55, green => 45);
@before = users();
admin(PUT => 'providers/c', { enabled => JSON::PP::false });
admin(PUT => 'keys/second', { enabled => JSON::PP::false });
$version = doc()->{version};
$gw->quit;
$gw->start;
is(weights(), 'blue=55 green=45', 'a restart keeps the weights');
is(doc()->{version}, $version, '... and the version');
is(moved(\@before, [ users() ]), 0, '... and every user in his variant');
is(enabled(providers => 'c'), 0, '... the provider is off');
is(enabled(keys => 'second'), 0, '... and the key');
admin(PUT => 'providers/c', { enabled => JSON::PP::true });
is(enabled(providers => 'c'), 1, '... until it is switched on');

verb('abort', { variant => 'green' });
ok(wait_for(sub { slurp('state.json') =~ /"barred":true/ }, 5), 'an abort is saved');
$gw->signal('KILL', $_) for $gw->pid, $gw->workers;
wait_for(sub { $gw->_reap }, 5);
$gw->start;
is(weights(), 'blue=100 green=0', 'a crash does not undo it');
is(variant('green')->{barred}, 1, '... nor that nobody may get there');

$gw->quit;
$gw->write_conf(conf(split => 'variant blue a 90%; variant green b 10%;'));
$gw->start;
is(weights(), 'blue=90 green=10', 'a block that changed meanwhile begins again');
cmp_ok(doc()->{version}, '>', $version, '... with a higher version');

$gw->quit;
spew('state.json', slurp('state.json') =~ s/"owners":\[[\d,]*\]/"owners":[0,9999,7,1]/r);
$gw->start;
is(weights(), 'blue=90 green=10', 'what makes no sense is ignored');
like($gw->log, qr/llm_split "s": what the state file says about it is ignored/, '... with a warning');

verb('abort');
$gw->quit;
$gw->start;
is(weights() . ' ' . doc()->{state}, 'blue=100 green=0 rolled_back', 'an abort without a rollout stays, too');


# ---- a rollout over a restart -------------------------------------------------------

gateway();
verb('start');
is(doc()->{state}, 'progressing', 'a rollout runs');
$gw->quit;
$gw->start;
is(doc()->{state}, 'progressing', '... a short restart does not stop it');
is(weights(), 'blue=80 green=20', '... at its step');
$gw->quit;
spew('state.json', slurp('state.json') =~ s/"saved_at":(\d+)/'"saved_at":' . ($1 - 3_600_000)/er);
$gw->start;
is(doc()->{state}, 'paused', 'one of an hour pauses it');
is(doc()->{rollout}{why}, 'restart', '... and says why');
is(weights(), 'blue=80 green=20', '... at its step');
$gw->quit;
spew('state.json', slurp('state.json') =~ s/,"canary":"green"//r);
$gw->start;
is(weights(), 'blue=90 green=10', 'a rollout of nobody makes no sense');
like($gw->log, qr/llm_split "s": what the state file says about it is ignored/, '... and is ignored');
is(admin(POST => 'splits/s/promote')->status, 409, '... and cannot be promoted');

gateway(split => 'variant blue a 100%; variant green b 0%; rollout green steps=20%,50%,100% start=now; rollback error_rate>5%;');
is(doc()->{state}, 'progressing', 'start=now starts');
is(weights(), 'blue=80 green=20', '... at the first step');
verb('abort');
ok($gw->reload, 'a reload');
is(doc()->{state}, 'rolled_back', '... does not start it again');
$gw->quit;
$gw->start;
is(doc()->{state}, 'rolled_back', '... nor does a restart');
is(() = $gw->log =~ /its rollout starts/g, 1, 'it started once');


# ---- the audit trail ------------------------------------------------------------------

gateway();
is(slurp('audit.jsonl'), '', 'nothing is there before the first change');
set(blue => 50 + $_, green => 50 - $_) for 1 .. 3;
verb('abort', { variant => 'green', reason => 'it was "odd"' });
ok(wait_for(sub { 4 == (() = slurp('audit.jsonl') =~ /\n/g) }, 5), 'four changes, four lines');
is(sprintf('%o', (stat "$dir/$n/audit.jsonl")[2] & 0777), '600', '... for nobody else');
chain(slurp('audit.jsonl'), '... in a chain');
my @e = map { from_json($_) } split /\n/, slurp('audit.jsonl');
is($e[3]{action}, 'abort', 'an entry says what was done');
is_deeply($e[3]{before}{weights}, { blue => 53, green => 47 }, '... what it was before');
is_deeply($e[3]{after}{weights}, { blue => 100, green => 0 }, '... what it is now');
is($e[3]{reason}{text}, 'it was "odd"', '... and why');
like($e[3]{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, '... and when');

# what docs/operations.md has for it
my ($script) = do { local $/; open my $f, '<', 'docs/operations.md' or die; <$f> } =~ /^```sh\n(prev=.*?)^```/ms;
my $verify = sub {
    local $ENV{SCRIPT} = $script;
    my $found = `cd $dir/$n && sh -c "\$SCRIPT"`;
    return $found;
};
is($verify->(), '', 'the loop of the documentation finds nothing');
my $good = slurp('audit.jsonl');
spew('audit.jsonl', $good =~ s/"green":48/"green":84/r);
like($verify->(), qr/\Achanged: \{"seq":2/, '... but a line that was changed');
spew('audit.jsonl', $good =~ s/^[^\n]*"seq":3,[^\n]*\n//mr);
like($verify->(), qr/\Amissing before: \{"seq":4/, '... and one that was taken out');
spew('audit.jsonl', $good);

$gw->quit;
open my $fh, '>>', "$dir/$n/audit.jsonl" or die;
print $fh '{"seq":5,"time":"20';
close $fh;
$gw->start;
admin(PUT => 'providers/c', { enabled => JSON::PP::false });
ok(wait_for(sub { slurp('audit.jsonl') =~ /"action":"disable".*\n/ }, 5), 'after a crash within a line it goes on');
is(chain(slurp('audit.jsonl'), '... the chain holds'), 5, '... over all whole lines');

rename "$dir/$n/audit.jsonl", "$dir/$n/old.jsonl" or die;
admin(PUT => 'providers/c', { enabled => JSON::PP::true });
ok(wait_for(sub { slurp('audit.jsonl') =~ /"action":"enable".*\n/ }, 5), 'a file that was moved away is made again');
is(chain(slurp('old.jsonl') . slurp('audit.jsonl'), '... the chain goes on in it'), 6, '... with every entry');
$gw->quit;
unlink "$dir/$n/audit.jsonl" or die;
$gw->start;
admin(PUT => 'providers/c', { enabled => JSON::PP::false });
ok(wait_for(sub { slurp('audit.jsonl') =~ /"seq":7,/ }, 5), '... after a restart, too');

my $r = $gw->http(PUT => '/admin/providers/c', { @json, 'X-Llm-Actor' => 'x' x 3000 }, '{"enabled":true}');
admin(PUT => 'providers/c', { enabled => $_ % 2 ? JSON::PP::false : JSON::PP::true }) for 1 .. 300;
my $entries = $gw->get('/admin/audit?limit=1000')->json->{entries};
is(scalar @$entries, 256, 'the zone keeps the newest 256');
ok(wait_for(sub { 302 == (() = slurp('audit.jsonl') =~ /\n/g) }, 5), '... the file all of them') or diag scalar(() = slurp('audit.jsonl') =~ /\n/g);
chain(slurp('audit.jsonl'), '... in a chain');
is((grep { length > 2048 } split /\n/, slurp('audit.jsonl')), 0, '... none is longer than it may be');


# an entry stays JSON, however much there is to say
for ([ 40, undef, 1 ], [ 120, undef, undef ], [ 4, 1, 1 ]) {
    my ($length, $had, $has) = @$_;
    my @names = map { sprintf 'v%02d%s', $_, 'x' x $length } 1 .. 16;
    gateway(split => "variant $names[0] a 85%; " . join ' ', map { "variant $_ b 1%;" } @names[1 .. 15]);
    verb('abort', { variant => $names[1], reason => 'y' x 100 });
    ok(wait_for(sub { slurp('audit.jsonl') =~ /\n/ }, 5), 'sixteen variants');
    my $e = from_json(slurp('audit.jsonl'));
    is($e->{before}{weights} ? 1 : undef, $had, '... their weights before') or diag slurp('audit.jsonl');
    is($e->{after}{weights} ? 1 : undef, $has, '... and after, if there is room');
    is($e->{reason}{text}, 'y' x 100, '... the reason is there');
    check($gw);
}


# ---- objects of a provider -------------------------------------------------------------

my $up = Test::LLM::Upstream->new;
my $files = 0;
my $provider = sub { "llm_provider $_[0] { dialect openai; base_url http://127.0.0.1:" . $up->port . "/$_[0]/v1; $_[1] }" };
my $objects = sub {
    my ($zone, $conf) = @_;
    return "llm_zone t:$zone; llm_state $dir/$n; $conf
        server { listen 127.0.0.1:%%PORT%%; location / { llm_pass s; } }";
};
my $upload = sub {
    $gw->http(POST => '/v1/files', { 'Content-Type' => 'multipart/form-data; boundary=x' },
        join "\r\n", '--x', 'Content-Disposition: form-data; name="file"; filename="a"', '', 'a', '--x--', '')->json->{id};
};

$n++;
my $two = $provider->('one', '') . $provider->('two', '');
$gw = Test::LLM::Gateway->new(conf => $objects->('8m', "$two llm_split s { variant one one 50%; variant two two 50%; }"))->start;
for my $side (qw(one two)) {
    $up->on("/$side/v1/files" => map { reply(200, {}, to_json({ id => "file-$side-" . ++$files })) } 1 .. 20);
    $up->on("/$side/v1/files/*" => reply(200, {}, to_json({ side => $side })));
}
my @files = map { $upload->() } 1 .. 20;
my $astray = sub {
    return join ' ', grep { my ($side) = /^file-(\w+)-/; $gw->get("/v1/files/$_")->json->{side} ne $side } @files;
};
is($astray->(), '', 'files are asked for where they are');
$gw->reload($objects->('8m', "$two llm_split s { variant two two 50%; variant one one 50%; }"));
is($astray->(), '', '... after a reload with a changed split');
$gw->quit;
$gw->start;
is($astray->(), '', '... and after a restart');

$n++;
$up->reset;
$up->on('/one/v1/files' => map { reply(200, {}, to_json({ id => "file-$_" })) } 1 .. 130);
$up->on('/one/v1/files/*' => reply(200, {}, '{}'));
my %env = map { ("KEY_$_" => "sk-key-000$_-x") } 'a' .. 'd';
$gw = Test::LLM::Gateway->new(env => \%env, conf => $objects->('128k', 'llm_key_pool k { select round_robin; ' . join('', map { "key env:KEY_$_;" } 'a' .. 'd')
    . '} ' . $provider->('one', 'keys k;')) =~ s/llm_pass s/llm_pass one/r)->start;
$upload->() for 1 .. 130;
my $keys = sub {
    my ($id) = @_;
    $gw->get("/v1/files/$id") for 1 .. 4;
    my %seen = map { ($_->{key} => 1) } $up->received("/one/v1/files/$id");
    return scalar keys %seen;
};
is($keys->('file-130'), 1, 'a small zone remembers the newest files');
is($keys->('file-30'), 1, '... about a hundred of them');
is($keys->('file-1'), 4, '... and forgets the oldest');
unlike($gw->log, qr/is full/, '... without a complaint');


# ---- a worker that dies ------------------------------------------------------------------

$up->reset;
$up->on('/one/v1/*' => [ [ barrier => 'hang' ], @{ ok_chat('late') } ]);
$gw = Test::LLM::Gateway->new(workers => 2, conf => 'llm_zone t:8m; '
    . $provider->('one', 'timeout total=400ms;') . $provider->('two', 'timeout total=400ms;')
    . 'llm_split s { variant two two 0%; variant one one 100%; rollback error_rate>50% window=240ms for=60s; }
       server { listen 127.0.0.1:%%PORT%%; location /v1/ { llm_pass s; } location /admin/ { llm_admin; } }')->start;
my @c = start_all($gw, map { [ POST => '/v1/chat/completions', {}, chat_body('m') ] } 1 .. 6);
run_all(5, @c, sub { $up->waiting('hang') == 6 });
my %old = map { $_ => 1 } $gw->workers;
$gw->signal('KILL', $_) for keys %old;
$gw->expect_log(qr/exited on signal 9/);
ok(wait_for(sub { 2 == grep { !$old{$_} } $gw->workers }, 5), 'workers are killed with requests under way');
select undef, undef, undef, 0.8;
is(variant('one')->{overdue}, 0, '... which are nobody\'s fault');
is(variant('one')->{n}, 0, '... and no outcome');
$up->release('hang');


# ---- a worker that still drains ------------------------------------------------------------

$up->reset;
$up->on('/one/v1/*' => ok_chat('of one'));
$up->on('/two/v1/*' => [ [ barrier => 'drain' ], @{ reply(503, {}, '{"error":{"message":"down"}}') } ], ok_chat('of two'));
my $drain = sub {
    return 'llm_zone t:10m; ' . $provider->('one', '') . $provider->('two', '')
        . "llm_split s { variant blue one $_[0]; variant green two $_[1]; }
           server { listen 127.0.0.1:%%PORT%%; llm_retry 2 backoff=1ms..5ms; location /v1/ { llm_pass s; } location /admin/ { llm_admin; } }";
};
$gw = Test::LLM::Gateway->new(conf => $drain->('0%', '100%'))->start;
@c = start_all($gw, [ POST => '/v1/chat/completions', {}, chat_body('m') ]);
run_all(5, @c, sub { $up->waiting('drain') == 1 });
%old = map { $_ => 1 } $gw->workers;
$gw->write_conf($drain->('1%', '99%'));
$gw->signal('HUP');
ok(wait_for(sub { doc() && weights() eq 'blue=1 green=99' }, 10), 'a changed block, while a request is under way');
verb('abort', { variant => 'green' });
$up->release('drain');
run_all(5, @c);
is($c[0]->status, 200, 'its next attempt');
is($c[0]->header('x-llm-variant'), 'blue', '... in the old worker, does not go where an abort forbids it');
ok(wait_for(sub { !kill 0, keys %old }, 5), '... and the worker ends');


# ---- room ---------------------------------------------------------------------------

my ($code, $text, $log) = Test::LLM::Gateway->new(conf => conf(zone => '256k'),
    env => { KEY_A => 'sk-aaaa-0001', KEY_B => 'sk-bbbb-0002' })->test_conf;
is($code, 1, 'a zone that is too small is an error');
like("$text$log", qr/llm_zone "t" of 256k is too small for llm_split "s": its 2 variants take \d{3}k/, '... that says for what, and by how much');

finish();
