"""The languages of the site, and what its templates say in each.

A template says everything in English, inside `{% trans %}` or as `_("…")`, and the English is the key of the translation. What
the shown data say (titles of models, names of stages) is translated in the same way. A phrase that a language lacks ends the build.
"""

from dataclasses import dataclass, field

from markupsafe import Markup

from common.environment import ROOT
from common.errors import UsageError

CHINESE_PHRASES = {
    # ------------------------------------------------------------------------------------ punctuation
    ", ": "、",
    "; ": "；",
    ": ": "：",
    ".": "。",
    ";": "；",
    " and ": " 和 ",
    # ------------------------------------------------------------------------------------ every page
    "Skip to the content": "跳到正文",
    "Site": "网站",
    "Diff": "Diff",
    "Models": "模型",
    "Pairs": "框架对照",
    "Field guide": "差异指南",
    "Articles": "文章",
    "Results": "结果",
    "Theme: auto": "主题：自动",
    "Theme: light": "主题：浅色",
    "Theme: dark": "主题：深色",
    "In English only:": "以下内容只有英文：",
    "Made by": "生成命令：",
    "On this page": "本页内容",
    "On this page:": "本页内容：",
    "Definitions": "定义",
    # ------------------------------------------------------------------------------------ first page
    "%(count)s models in four frameworks": "%(count)s 个模型，四个框架",
    "%(count)s generative models written four times: PyTorch, TensorFlow, PaddlePaddle static programs, JAX/Flax. One "
    "specification says what each model is, and tests prove that the four implementations compute the same thing, stage by "
    "stage, to near rounding error.": "%(count)s 个生成模型，每个写四遍：PyTorch、TensorFlow、PaddlePaddle（飞桨）静态图 Program、JAX/Flax。"
    "每个模型是什么，由一份规格说明；测试逐阶段证明四份实现算的是同一件事，误差接近舍入误差。",
    "Compare all models in all four frameworks": "比较全部模型、全部四个框架",
    "Find where your port diverges from its original": "找出移植版从哪里开始与原版不同",
    "One training step of": "一个训练步：",
    "Samples of the variational autoencoder in four frameworks, from the same draws": "变分自编码器在四个框架中用相同的随机数生成的样本",
    "The same pictures.": "图像相同。",
    "Samples after ten epochs of MNIST, from the same draws in each.": "在 MNIST 上训练十个 epoch 之后的样本，各框架用相同的随机数。",
    "The same numbers, to %(most)s.": "数值相同，偏差不超过 %(most)s。",
    "Relative deviation from the NumPy oracle, float64.": "相对于 NumPy 参考实现的偏差，float64。",
    "Milliseconds per update": "每次更新的毫秒数",
    ": as a tutorial writes it, compiled, as shipped; the line: the lower bound. %(processor)s.": "：按教程的写法、编译之后、本项目交付的写法；竖线是下限。%(processor)s。",
    "Where your port diverges from its original": "移植版从哪里开始与原版不同",
    '<a href="%(diff)s"><code>tetrapla diff FILE</code></a> takes two implementations of anybody\'s model, in any two of the '
    "four frameworks, follows them layer by layer through forward pass, loss, gradients, updates and running statistics, and "
    'names the first layer at fault, with a cause only where it is proven. <a href="%(diff)s#a-real-case">A real case</a>, '
    '<a href="%(diff)s#real-threads">ten threads</a>, <a href="%(diff)s#what-it-cannot-see">what it cannot see</a>.': '<a href="%(diff)s"><code>tetrapla diff FILE</code></a> '
    "取任何模型的两份实现（四个框架中的任意两个），逐层跟踪前向、损失、梯度、更新和滑动统计量，指出第一个真正出错的层；只有能够证明时才说出原因。"
    '<a href="%(diff)s#a-real-case">一个真实案例</a>、<a href="%(diff)s#real-threads">十个求助帖</a>、'
    '<a href="%(diff)s#what-it-cannot-see">它看不到什么</a>。',
    "Each page shows the four files side by side, section by section, with the specification above and the measurements "
    "below.": "每一页把四个文件逐段并排对照，上面是规格，下面是测量结果。",
    "Largest relative deviation of any tensor from the NumPy oracle, in float64, over all stages": "任一张量在所有阶段中相对于 NumPy 参考实现的最大偏差，float64",
    "The models": "全部模型",
    "model": "模型",
    "what it is": "是什么",
    "parameters": "参数",
    "article": "文章",
    "From one framework to another": "从一个框架到另一个框架",
    "For someone who ports: a layer, a loss, a train step, randomness, saving and compiling, as this project says them in "
    "both.": "供移植代码的人使用：一个层、一个损失、一个训练步、随机性、保存和编译，本项目在两个框架中各怎么写。",
    '<a href="%(guide)s">How the frameworks differ</a>: %(count)s differences, each with its consequence in numbers, the lines '
    "where each implementation handles it, and the test that shows it.": '<a href="%(guide)s">各框架有何不同</a>：%(count)s 处差异，'
    "每一处都给出用数字表示的后果、各份实现处理它的代码行，以及证明它的测试。",
    "More": "更多",
    '<a href="%(articles)s">The five articles</a>, reproduced: every check with its verdict': '<a href="%(articles)s">五篇文章</a>的复现：每一项检验及其判定',
    '<a href="%(results)s">Results and benchmarks</a>: what was measured, and on what': '<a href="%(results)s">结果与性能测试</a>：测量了什么，在什么上面测的',
    '<a href="%(reproducing)s">Reproductions</a>, <a href="%(benchmarks)s">benchmarks</a>, <a href="%(runs)s">runs and '
    "checkpoints</a>: how they are made": '<a href="%(reproducing)s">复现</a>、<a href="%(benchmarks)s">性能测试</a>、<a href="%(runs)s">运行与检查点</a>：怎样得到',
    '<a href="%(adding)s">Adding a model</a>, <a href="%(contributing)s">contributing</a>': '<a href="%(adding)s">添加一个模型</a>、<a href="%(contributing)s">参与贡献</a>',
    '<a href="%(spec)s">What a specification looks like</a>, <a href="%(contract)s">what an implementation promises</a>': '<a href="%(spec)s">规格是什么样子</a>、<a href="%(contract)s">一份实现承诺什么</a>',
    # ------------------------------------------------------------------------------------ a model
    'On this page: <a href="#specification">specification</a>, <a href="#code">four implementations</a>, <a '
    'href="#parity">parity</a>, <a href="#training">training</a>, <a href="#throughput">throughput</a>': '本页内容：<a href="#specification">规格</a>、'
    '<a href="#code">四份实现</a>、<a href="#parity">一致性</a>、<a href="#training">训练</a>、<a href="#throughput">速度</a>',
    "Specification": "规格",
    'From <a href="%(file)s"><code>%(specification)s</code></a>; %(source)s; article <a href="%(article)s">%(name)s</a>.': '出自 '
    '<a href="%(file)s"><code>%(specification)s</code></a>；%(source)s；文章 <a href="%(article)s">%(name)s</a>。',
    "Input": "输入",
    "(B, %(shape)s), pixels in [%(low)s, %(high)s]": "(B, %(shape)s)，像素取值 [%(low)s, %(high)s]",
    "Losses": "损失",
    "%(reduction)s over the batch": "对批次取 %(reduction)s",
    "Training": "训练",
    "batch %(size)s, %(count)s epochs": "批大小 %(size)s，%(count)s 个 epoch",
    "batch %(size)s, %(count)s steps": "批大小 %(size)s，%(count)s 步",
    "Initial values": "初始值",
    "Gain %(gain)s.": "gain 为 %(gain)s。",
    "Deviation %(std)s.": "标准差 %(std)s。",
    "Compared at": "比较时的学习率",
    "its own learning rates": "模型自己的学习率",
    "%(rate)s of its learning rates": "模型学习率的 %(rate)s 倍",
    "Networks: %(count)s parameters": "网络：%(count)s 个参数",
    "network": "网络",
    "layer": "层",
    "kind": "类型",
    "output": "输出",
    "Updates of one step, in order": "一步之内的各次更新，按顺序",
    "update": "更新",
    "minimises": "最小化",
    "moves": "更新的网络",
    "rate": "学习率",
    "Noise, drawn afresh each time": "噪声，每次重新抽取",
    "name": "名称",
    "used by": "用于",
    "shape": "形状",
    "distribution": "分布",
    "update %(names)s": "更新 %(names)s",
    "sample": "采样",
    "No randomness in a step.": "训练步中没有随机性。",
    "Four implementations": "四份实现",
    "What shares a name stands level. A line number leads to the line in its file:": "同名的部分对齐。点行号可以到文件中的那一行：",
    "Frameworks": "框架",
    "Wrap long lines": "长行折行",
    "Two frameworks stay: choose another first.": "至少保留两个框架：请先选另一个。",
    "The four files side by side": "四个文件并排对照",
    "%(name)s in %(title)s: %(path)s, line %(first)s": "%(title)s 中的 %(name)s：%(path)s，第 %(first)s 行",
    "line": "行",
    "not in this file": "此文件中没有",
    "Parity": "一致性",
    "Same weights, same batches, same noise; each cell is the largest relative deviation of any tensor of the stage, with the "
    "tensor's name.": "权重、批次、噪声都相同；每一格是该阶段所有张量中最大的相对偏差，并写出张量的名称。",
    "Compared at %(rate)s of the learning rates.": "比较时用学习率的 %(rate)s 倍。",
    "✓ Every backend matches the specification at every stage.": "✓ 每个后端在每个阶段都与规格一致。",
    "✗ A backend does not match the specification.": "✗ 有后端与规格不一致。",
    "%(title)s did not finish:": "%(title)s 没有运行完：",
    "; commit": "；提交",
    "Each backend against the oracle, %(dtype)s": "各后端与参考实现的比较，%(dtype)s",
    "Backends against each other, float64: the stage in which each pair differs most": "后端之间的比较，float64：每一对相差最大的阶段",
    "pair": "两个后端",
    "deviation": "偏差",
    "stage": "阶段",
    "tensor": "张量",
    "bar": "阈值",
    "exact": "完全相等",
    "%(steps)s updates": "%(steps)s 次更新",
    "Relative deviation from the oracle at each stage, float64, on a logarithmic axis; every number is in the table": "各阶段相对于参考实现的偏差，float64，"
    "对数坐标；全部数值见表格",
    "After %(steps)s training steps in float32, per test image": "以 float32 训练 %(steps)s 步之后，每张测试图像",
    "framework": "框架",
    "Throughput": "速度",
    "The line across a bar is the lower bound, which no backend can beat: <a href=\"%(href)s#the-floor\">how it is counted</a>.": "竖线是下限，"
    '任何后端都不可能突破：<a href="%(href)s#the-floor">怎样计算</a>。',
    "No comparison is here; the command:": "这里还没有比较结果；命令：",
    # ------------------------------------------------------------------------------------ times
    "Milliseconds of each framework in each mode, as bars": "各框架在各种写法下的毫秒数，条形图",
    "%(name)s, batch %(batch)s, milliseconds per update; %(processor)s, %(device)s, threads: %(threads)s, %(day)s. Made by": "%(name)s，批大小 %(batch)s，"
    "每次更新的毫秒数；%(processor)s，%(device)s，线程数 %(threads)s，%(day)s。生成命令：",
    "Times of %(name)s": "%(name)s 的用时",
    "mode": "写法",
    "median, ms": "中位数，毫秒",
    "least to most": "最小到最大",
    "images a second": "每秒图像数",
    "times the lower bound": "下限的倍数",
    "%(least)s to %(most)s": "%(least)s 到 %(most)s",
    "%(title)s, %(mode)s: no time;": "%(title)s，%(mode)s：没有用时；",
    "No benchmark is here; the command:": "这里还没有性能测试；命令：",
    "Metrics first; further down,": "先是各项指标；往下是",
    "benchmarks": "性能测试",
    "Benchmarks": "性能测试",
    "Only proven backends are timed, in turn; judge by ratios within one plot.": "只给已经证明正确的后端轮流计时；请按同一幅图内的比值判断。",
    "How it is measured, and sweeps over batch and width": "怎样测量，以及随批大小和宽度的变化",
    "The line across a bar is the lower bound.": "竖线是下限。",
    # ------------------------------------------------------------------------------------ articles
    "Article": "文章",
    "Article %(id)s": "文章 %(id)s",
    "Its models side by side:": "文中模型的对照页：",
    "The articles, reproduced": "文章的复现",
    "Each in its original framework, at its full length, on MNIST: every check with whose claim it is and its verdict, the "
    "missed ones too.": "每篇都用文章原来的框架、按完整长度在 MNIST 上训练：每一项检验，是谁的说法，判定如何，没有达到的也列出。",
    "How they are made": "怎样复现",
    "Checks of %(name)s": "%(name)s 的检验",
    "what": "内容",
    "whose claim": "谁的说法",
    "ours": "我们的结果",
    "verdict": "判定",
    "Not reproduced yet; the command:": "尚未复现；命令：",
    # ------------------------------------------------------------------------------------ two frameworks
    "%(a)s and %(b)s": "%(a)s 与 %(b)s",
    "How this project says the same thing in both, in the lines of its own files.": "同一件事本项目在两个框架中怎么写，取自项目自己的文件。",
    "Where the two differ": "两者的差异",
    "%(count)s entries of the field guide speak of both:": "差异指南中有 %(count)s 条同时谈到两者：",
    "Dense layers": "全连接层",
    "A network with two heads: the encoder of the variational autoencoder.": "有两个输出头的网络：变分自编码器的编码器。",
    "Convolutions, flattening, batch norm": "卷积、展平、批归一化",
    "The trunk of InfoGAN's discriminator, whose images are NCHW in two frameworks and NHWC in the others.": "InfoGAN 判别器的主干；图像在两个框架中是 NCHW，在另外两个中是 NHWC。",
    "Dropout": "Dropout",
    "The adversarial autoencoder's: masks are noise that is handed to the network.": "取自对抗自编码器：掩码是传给网络的噪声。",
    "Cross-entropy on logits, and the divergence of the code.": "对 logits 的交叉熵，以及编码的散度。",
    "A train step": "训练步",
    "One optimiser. In Paddle the step is a Program, which `build` writes and `train_step` runs.": "一个优化器。在 Paddle 中，训练步是一个 Program，由 `build` 写出，由 `train_step` 运行。",
    "A train step of two networks": "两个网络的训练步",
    "The discriminator's update, then the generator's, each moving its own network.": "先更新判别器，再更新生成器，各自只更新自己的网络。",
    "Adam": "Adam",
    "Algorithm 1 of its paper, with every number passed, restricted to some networks.": "论文中的算法 1，每个数都显式传入，只作用于指定的网络。",
    "Randomness": "随机性",
    "Seeds made from (seed, step), and the four distributions that the models draw from.": "由（种子，步数）得到的种子，以及模型用到的四种分布。",
    "Compiling, and many steps in one call": "编译，以及一次调用执行多步",
    "The path that training takes: the data on the device, inputs gathered and scaled in each step.": "训练实际走的路径：数据放在设备上，每一步在设备上取出并缩放输入。",
    "Names and layouts of parameters": "参数的名称与布局",
    "From the canonical names and axes, which are PyTorch's, to the framework's own.": "从规范的名称和轴顺序（即 PyTorch 的）到各框架自己的。",
    "Taking up saved values": "恢复保存的值",
    "Parameters, running statistics, Adam's moments and its count of steps, from a checkpoint of any framework.": "从任一框架的检查点恢复参数、滑动统计量、Adam 的矩及其步数。",
    "Saving and loading in the framework's own format": "以框架自己的格式保存和加载",
    "What `tetrapla convert` writes, and the lines that load it without this project.": "`tetrapla convert` 写出的内容，以及不依赖本项目就能加载它的几行代码。",
    # ------------------------------------------------------------------------------------ field guide
    "Search the entries": "搜索条目",
    "{n} of {all} entries. Enter goes to the first, Escape shows all.": "{all} 条中找到 {n} 条。回车跳到第一条，Esc 显示全部。",
    "No entry has all of these words. Escape shows all.": "没有条目同时含有这些词。Esc 显示全部。",
    "Entries": "条目",
    "In the implementations:": "实现中的位置：",
    "Show these lines": "显示这些代码行",
    "All": "全部",
    # ------------------------------------------------------------------------------------ what the data say
    "forward": "前向",
    "losses": "损失",
    "gradients": "梯度",
    "one update": "一次更新",
    "complex step": "复步",
    "✓ reached": "✓ 达到",
    "◐ in part": "◐ 部分达到",
    "✗ missed": "✗ 未达到",
    "not at full length": "未按完整长度",
    "for comparison": "仅供对照",
    "Training loss of each backend, overlaid, with the same weights, batches and noise; to the right, the growth of their "
    "distance in float32.": "各后端的训练损失，叠在一起，权重、批次和噪声都相同；右边是它们在 float32 下的差距怎样增长。",
    "Test images in the top row, and below them each backend's reconstructions after the training.": "第一行是测试图像，下面各行是训练之后各后端的重建结果。",
    "Samples of each backend after the training, from the same draws of the prior.": "训练之后各后端的样本，由先验中相同的随机数生成。",
    "Largest relative deviation of any parameter or running statistic from the float64 oracle.": "任一参数或滑动统计量相对于 float64 参考实现的最大偏差。",
    "Weights and biases ~ U(-1/√fan_in, 1/√fan_in): what PyTorch gives a Linear or Conv by default.": "权重和偏置 ~ U(-1/√fan_in, 1/√fan_in)：PyTorch 对 Linear 和 Conv 的默认值。",
    "Weights ~ N(0, gain/fan_in), biases 0.": "权重 ~ N(0, gain/fan_in)，偏置为 0。",
    "Weights ~ N(0, std²), whatever the size of the layer, biases 0.": "权重 ~ N(0, std²)，与层的大小无关，偏置为 0。",
    "Weights ~ U(-b, b) with b = √(6 / (fan_in + fan_out)), biases 0: what Paddle gives a dense layer by default (it says "
    "Xavier), and Keras.": "权重 ~ U(-b, b)，b = √(6 / (fan_in + fan_out))，偏置为 0：Paddle（称为 Xavier）和 Keras 对全连接层的默认值。",
    "Autoencoder": "自编码器",
    "Convolutional autoencoder": "卷积自编码器",
    "Variational autoencoder, 20-D code": "变分自编码器，20 维编码",
    "Variational autoencoder, 100-D code": "变分自编码器，100 维编码",
    "VAE-GAN for pictures of 28 × 28": "VAE-GAN，28 × 28 的图像",
    "VAE-GAN for pictures of 64 × 64": "VAE-GAN，64 × 64 的图像",
    "Generative adversarial network": "生成对抗网络",
    "GAN of convolutions (DCGAN)": "卷积 GAN（DCGAN）",
    "Two-layer GAN": "两层 GAN",
    "Adversarial autoencoder, 120-D code": "对抗自编码器，120 维编码",
    "Adversarial autoencoder, style apart from content": "对抗自编码器，风格与内容分离",
    "Adversarial autoencoder, classes from a few labels": "对抗自编码器，由少量标签学会分类",
    "Adversarial autoencoder, clusters without labels": "对抗自编码器，无标签聚类",
    "InfoGAN: 10 categories, 2 codes": "InfoGAN：10 个类别，2 个连续编码",
    "InfoGAN for street numbers: 4 categories, 4 codes": "InfoGAN，门牌号码：4 个类别变量，4 个连续编码",
    "InfoGAN for faces of celebrities: 10 categories": "InfoGAN，名人面孔：10 个类别变量",
    "InfoGAN for 3-D faces: 5 codes": "InfoGAN，三维面孔：5 个连续编码",
    "InfoGAN for 3-D chairs: 3 categories, 1 code": "InfoGAN，三维椅子：3 个类别变量，1 个连续编码",
}  # fmt: skip


@dataclass(frozen=True)
class Language:
    """One language of the site."""

    code: str  # of HTML's `lang` and `hreflang`
    name: str  # in the language itself
    folder: str  # of its pages
    suffix: str  # of its documents
    phrases: dict[str, str] | None = field(compare=False)  # None: as the templates say it

    def say(self, phrase: str) -> str:
        """A phrase of the templates in this language. Raises UsageError if it is not there."""
        if self.phrases is None:
            return phrase
        if phrase not in self.phrases:
            raise UsageError(f"common/tools/site/languages.py: expected {phrase!r} in {self.name}; add it there")
        return self.phrases[phrase]

    def document(self, path: str) -> str:
        """The Markdown file of the repository in this language, where there is one, else the English one."""
        own = path.removesuffix(".md") + self.suffix
        return own if (ROOT / own).exists() else path

    def wrote(self, path: str) -> bool:
        """Whether the Markdown file is in this language."""
        return self.phrases is None or path.endswith(self.suffix)

    @property
    def quoting(self) -> str:
        """The attribute of an element whose words are English on every page."""
        return "" if self.phrases is None else Markup(' lang="en"')


ENGLISH = Language("en", "English", "", ".md", None)
CHINESE = Language("zh-Hans", "中文", "zh/", ".zh.md", CHINESE_PHRASES)
LANGUAGES = (ENGLISH, CHINESE)
